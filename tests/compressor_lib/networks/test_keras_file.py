from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from compressor_lib.errors import CompressorError
from compressor_lib.networks.keras_file import read_keras_file
from compressor_lib.networks.user_model import load_own_model

layers = keras.layers


def classifier(*shape: int | None) -> keras.Model:
    return keras.Sequential([keras.Input(shape), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D(), layers.Dense(2)])


def saved(model: keras.Model, tmp_path) -> str:
    path = str(tmp_path / "own.keras")
    model.save(path)
    return path


def test_input_size_is_read(tmp_path):
    assert read_keras_file(saved(classifier(24, 24, 3), tmp_path)).input_size == 24
    assert read_keras_file(saved(classifier(None, None, 3), tmp_path)).input_size is None
    nested = classifier(20, 20, 3)
    images = keras.Input((20, 20, 3))
    assert read_keras_file(saved(keras.Model(images, nested(images)), tmp_path)).input_size == 20


@pytest.mark.parametrize("shape", [(24, 20, 3), (24, 24, 1)])
def test_non_square_or_grey_images_are_rejected(tmp_path, shape):
    with pytest.raises(CompressorError, match="not square colour images"):
        read_keras_file(saved(classifier(*shape), tmp_path))


def test_several_inputs_are_rejected(tmp_path):
    one, two = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    with pytest.raises(CompressorError, match="takes 2 inputs"):
        read_keras_file(saved(keras.Model([one, two], layers.Add()([one, two])), tmp_path))


class Doubling(layers.Layer):
    def call(self, x):
        return x * 2


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.survives("a Keras file that would run code")
def test_custom_code_is_rejected(tmp_path):
    for layer, message in (
        (Doubling(name="mine"), "layer 'mine' .* is a Doubling, which is not a Keras layer"),
        (layers.Lambda(lambda x: x * 2, name="mine"), "layer 'mine' .* is a Lambda"),
        (keras.Sequential([layers.Lambda(lambda x: x * 2, name="deep")]), "layer 'deep' .* is a Lambda"),
    ):
        model = keras.Sequential([keras.Input((8, 8, 3)), layer, layers.Conv2D(4, 3)])
        with pytest.raises(CompressorError, match=message):
            read_keras_file(saved(model, tmp_path))
    subclassed = Subclassed()
    subclassed.build((None, 8, 8, 3))
    with pytest.raises(CompressorError, match="is a Subclassed, a custom Python class"):
        read_keras_file(saved(subclassed, tmp_path))


def changed(path: str, change: Callable[[dict[str, Any]], None]) -> str:
    """Writes a file's configuration anew, as nobody's Keras would."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(content["config.json"])
    change(config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (content | {"config.json": json.dumps(config).encode()}).items():
            archive.writestr(name, data)
    return path


def bait(trace: Path) -> dict[str, Any]:
    """An object whose making leaves a trace."""
    return {"module": "os", "class_name": "mkdir", "registered_name": "mkdir", "config": {"path": str(trace)}}


@pytest.mark.survives("a Keras file that would run code")
@pytest.mark.parametrize("place", ["kernel_initializer", "activation", "compile_config", "build_config"])
def test_custom_code_anywhere_in_a_layer_is_rejected(tmp_path, place):
    trace = tmp_path / "ran"

    def hide(config: dict[str, Any]) -> None:
        dense = config["config"]["layers"][-1]
        if place in dense["config"]:
            dense["config"][place] = bait(trace)
        else:
            dense[place] = {"any": [bait(trace)]}

    path = changed(saved(classifier(8, 8, 3), tmp_path), hide)
    for read in (read_keras_file, load_own_model):
        with pytest.raises(CompressorError, match=r"names os\.mkdir, which is not part of Keras"):
            read(path)
    assert not trace.exists()


@pytest.mark.survives("a Keras file that would run code")
@pytest.mark.parametrize(
    "kind", ["Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "StringLookup", "TextVectorization"]
)
def test_layers_that_run_code_or_read_files_are_rejected(tmp_path, kind):
    def put_in(config: dict[str, Any]) -> None:
        config["config"]["layers"][1] |= {"class_name": kind, "config": {"name": "odd", "filepath": "/any"}}

    with pytest.raises(CompressorError, match=f"layer 'odd' .* is a {kind}; code stored in a file is not run"):
        read_keras_file(changed(saved(classifier(8, 8, 3), tmp_path), put_in))


def test_compiled_models_and_keras_functions_are_accepted(tmp_path):
    model = keras.Sequential(
        [classifier(8, 8, 3), layers.Dense(2, activation=keras.activations.gelu, kernel_constraint="non_neg")]
    )
    model.compile(loss=lambda y, answer: y - answer, metrics=["accuracy"])
    path = saved(model, tmp_path)

    def as_a_function(config: dict[str, Any]) -> None:
        function = {"module": "builtins", "class_name": "function", "config": "gelu", "registered_name": "function"}
        config["config"]["layers"][-1]["config"]["activation"] = function

    assert read_keras_file(changed(path, as_a_function)).input_size == 8
    assert load_own_model(path).output_shape == (None, 2)


def test_other_files_are_rejected(tmp_path):
    (tmp_path / "text.keras").write_text("no archive")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("something.json", json.dumps({}))
    for name in ("text", "other", "missing"):
        with pytest.raises(CompressorError, match=rf"{name}\.keras' is not a \.keras file"):
            read_keras_file(tmp_path / f"{name}.keras")


@pytest.mark.survives("a damaged Keras file")
@pytest.mark.parametrize(
    "config",
    [
        "[]", "null", "7", '"text"', "{}", "[" * 100_000, '{"class_name": "Functional"}',
        '{"class_name": "Functional", "config": null}',
        '{"class_name": "Functional", "config": {"layers": null}}',
        '{"class_name": "Functional", "config": {"layers": [[]]}}',
        '{"class_name": "Functional", "module": "keras", "config": {"layers": []}}',
        '{"class_name": "Functional", "module": 7, "config": {"layers": []}}',
        '{"class_name": "Functional", "config": ' + '{"layers": [{"config": ' * 300 + "1" + "}]}" * 300 + "}",
    ],
    ids=range(13),
)  # fmt: skip
def test_any_other_configuration_is_rejected(tmp_path, config):
    with zipfile.ZipFile(tmp_path / "odd.keras", "w") as archive:
        archive.writestr("config.json", config)
    with pytest.raises(CompressorError, match=r"odd\.keras'"):
        read_keras_file(tmp_path / "odd.keras")


@pytest.mark.survives("a damaged Keras file")
def test_truncated_or_changed_file_never_crashes(tmp_path):
    whole, path = Path(saved(classifier(8, 8, 3), tmp_path)).read_bytes(), tmp_path / "damaged.keras"
    dice = random.Random(0)
    for _ in range(200):
        damaged = bytearray(whole[: dice.randrange(len(whole))] if dice.random() < 0.3 else whole)
        for place in dice.choices(range(len(damaged)), k=3) if damaged else ():
            damaged[place] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        with contextlib.suppress(CompressorError):
            assert read_keras_file(path).input_size == 8


def test_keras_and_tensorflow_are_not_imported():
    code = "import sys, compressor_lib.networks.keras_file; assert not {'keras', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def keras_2_classifier(k: Any) -> Any:
    """The same network, built by Keras 2 or 3."""
    base = k.Sequential(
        [
            k.Input((8, 8, 3)),
            k.layers.Conv2D(4, 3, name="conv"),
            k.layers.BatchNormalization(name="bn"),
            k.layers.SeparableConv2D(4, 3, name="separable"),
        ],
        name="base",
    )
    images = k.Input((8, 8, 3))
    x = k.layers.GlobalAveragePooling2D()(base(k.layers.Rescaling(1 / 255)(images)))
    return k.Model(images, k.layers.Dense(2, activation="softmax")(x))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("old.keras", r"old\.keras' was saved by Keras 2\.\d+\.\d+, which Keras 3 cannot read: rebuild the network"),
        ("old.h5", r"old\.h5' is an HDF5 file, the format of Keras 2, which Keras 3 cannot read"),
        ("renamed.keras", r"renamed\.keras' is an HDF5 file"),
    ],
)
def test_keras_2_file_is_recognised_and_the_suggested_fix_works(tmp_path, file, message):
    tf_keras = pytest.importorskip("tf_keras")
    old = keras_2_classifier(tf_keras)
    random = np.random.default_rng(0)
    old.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in old.get_weights()])
    path = tmp_path / file
    old.save(path, save_format="h5" if file != "old.keras" else None)

    for read in (read_keras_file, load_own_model):
        with pytest.raises(CompressorError, match=message):
            read(path)

    # The lines of docs/how-to/own-model.md.
    if file != "renamed.keras":
        new = keras_2_classifier(keras)
        new.set_weights(tf_keras.models.load_model(str(path), compile=False).get_weights())
        new.save(tmp_path / "new.keras")
        images = random.uniform(0, 255, (3, 8, 8, 3)).astype(np.float32)
        own = load_own_model(tmp_path / "new.keras")
        np.testing.assert_allclose(own(images), old.predict(images, verbose=0), atol=1e-5)
