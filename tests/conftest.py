"""Order of the tests, the table of faults, and a network that components and pipelines are quick to compress."""

from __future__ import annotations

import gc
import pathlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from tally import Tally

if TYPE_CHECKING:
    import keras

TESTS = pathlib.Path(__file__).parent
FIRST = "end_to_end"

_TALLY = pytest.StashKey[Tally]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts complete runs first: if one of two processes began such a file last, the other would wait for it."""
    items.sort(key=lambda item: TESTS / FIRST not in item.path.parents)


def pytest_collection_finish() -> None:
    """Exempts imported modules from garbage collection, which keras-tuner does in every trial and which takes long."""
    gc.collect()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TALLY] = Tally()


@pytest.fixture(scope="session")
def tally(pytestconfig) -> Tally:
    """Counts a fault that was tried inside a test; a test that is a try itself has the mark ``survives``."""
    return pytestconfig.stash[_TALLY]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    mark = item.get_closest_marker("survives")
    if mark and not report.skipped and (report.when == "call" or report.failed):
        item.config.stash[_TALLY].count(*mark.args, survived=report.passed)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line("\n".join(["", *config.stash[_TALLY].table()]))


@pytest.fixture(scope="session")
def small_backbone() -> Callable[[], keras.Model]:
    """Makes what remains of MobileNetV2 when most of its blocks are left out; the others keep their names."""
    import keras

    from compressor_lib.networks.layer_names import PREPROCESS

    layers = keras.layers

    def block(x: keras.KerasTensor, name: str, *, strides: int, units: int) -> keras.KerasTensor:
        y = layers.Conv2D(24, 1, use_bias=False, name=f"{name}_expand")(x)
        y = layers.ReLU(6.0, name=f"{name}_expand_relu")(y)
        y = layers.DepthwiseConv2D(3, strides, padding="same", use_bias=False, name=f"{name}_depthwise")(y)
        y = layers.Conv2D(units, 1, use_bias=False, name=f"{name}_project")(y)
        y = layers.BatchNormalization(name=f"{name}_project_BN")(y)
        return layers.Add(name=f"{name}_add")([x, y]) if x.shape == y.shape else y

    def make() -> keras.Model:
        images = keras.Input((32, 32, 3), name="images")
        x = layers.Rescaling(1 / 127.5, -1, name=PREPROCESS)(images)
        x = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False, name="Conv1")(x)
        x = layers.BatchNormalization(name="expanded_conv_project_BN")(x)
        for name, strides, units in (
            ("block_1", 2, 8), ("block_2", 1, 8), ("block_4", 2, 12), ("block_5", 1, 12), ("block_6", 1, 12),
            ("block_16", 1, 24),
        ):  # fmt: skip
            x = block(x, name, strides=strides, units=units)
        x = layers.Conv2D(64, 1, use_bias=False, name="Conv_1")(x)
        x = layers.BatchNormalization(name="Conv_1_bn")(x)
        x = layers.ReLU(6.0, name="out_relu")(x)
        return keras.Model(images, x, name="MobileNetV2")

    return make
