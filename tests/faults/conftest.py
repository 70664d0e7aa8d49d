"""A small run to be harmed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_process import Command
from PIL import Image

CONFIG = """
name: harmed
data: {source: folder, splits: {train: 3, eval: 1, test: 1}}
head: {dropout: 0.1}
reference: {head_epochs: 0, epochs: 2, learning_rate: 2.0e-3, batch_norm: train}
search:
  tuner: random
  max_trials: 4
  max_epochs: 2
  connections: ["block_2_add->block_16_expand", "block_5_add->Conv_1", "block_5_add->head"]
  feature_memory_mb: 0
retrain: {head_epochs: 0, epochs: 2, learning_rate: 1.0e-3, batch_norm: train}
gate: {min_accuracy: 0.0, max_drop: 1.0}
"""
COLOURS = {"blue": (40, 60, 220), "green": (50, 200, 60), "red": (220, 50, 40)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.faults)
            item.add_marker(pytest.mark.timeout(4 * 3600))


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    """Class folders of small images of coloured noise."""
    folder = tmp_path_factory.mktemp("data") / "images"
    for colour, mean in COLOURS.items():
        (folder / colour).mkdir(parents=True)
        for number in range(20):
            pixels = np.random.default_rng([number, *mean]).normal(mean, 40, (40, 32, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / colour / f"{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def config(images, small_backbone, tmp_path_factory) -> Path:
    """The configuration of a small run, with a backbone of its own."""
    import keras

    from compressor_lib.networks.heads import attach_head

    folder = tmp_path_factory.mktemp("config")
    keras.utils.set_random_seed(0)
    attach_head(small_backbone(), 4).save(folder / "model.keras")
    path = folder / "config.yaml"
    path.write_text(f"{CONFIG}backbone: {{model: {folder / 'model.keras'}}}\n")
    return path


@pytest.fixture(scope="session")
def compressor(config, images, tmp_path_factory) -> Iterator[Callable[..., Command]]:
    """Starts ``compressor run`` into an output folder."""
    started: list[Command] = []
    screens, numbers = tmp_path_factory.mktemp("screens"), itertools.count()

    def start(output: Path, **kill: Any) -> Command:
        typed = ["run", "--config", str(config), "--data", str(images), "--output", str(output)]
        command = Command(typed, screens / f"{next(numbers)}.txt", **kill)
        started.append(command)
        return command

    yield start
    for command in started:
        command.send(9)


@pytest.fixture(scope="session")
def undisturbed(compressor, tmp_path_factory) -> Path:
    """The output of a run that nothing happened to."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    command = compressor(output)
    assert command.ended() == 0, command.said
    return output
