"""A TFLite format that fails: left out where a gate decides, raised where the library was asked for it."""

from __future__ import annotations

import errno
import pickle
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from compressor_lib.deployment import conversion, export
from compressor_lib.deployment.precision import Precision
from compressor_lib.deployment.tflite import ConversionError, to_tflite
from compressor_lib.errors import CompressorError

NAMES = ["dress", "hat"]


class NotInTFLite(keras.layers.Layer):
    """What TensorFlow's converter refuses in every precision."""

    def call(self, x: Any) -> Any:
        return tf.math.erf(x)


def classifier(layer: keras.layers.Layer | None = None) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.GlobalAveragePooling2D()(layer(x) if layer else x)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))


@pytest.fixture(scope="module")
def calibration() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)


def converted(model: keras.Model, calibration: np.ndarray, **options: Any) -> conversion.Conversions:
    def served(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.stack([tf.io.decode_png(one) for one in image_bytes])
        return {"probabilities": model(tf.cast(images, tf.float32), training=False)}

    formats: list[Precision] = ["float32", "float16", "int8"]
    return conversion.convert(model, NAMES, served, formats=formats, calibration=calibration, **options)


def fail_with(monkeypatch, error: BaseException, *precisions: str) -> None:
    """Lets TensorFlow's converter fail for some precisions."""
    convert = tf.lite.TFLiteConverter.from_concrete_functions

    def from_concrete_functions(*args: Any) -> Any:
        made = convert(*args)
        whole = made.convert

        def failing() -> bytes:
            supported = made.target_spec.supported_types
            is_int8 = made.representative_dataset is not None
            if ("int8" if is_int8 else "float16" if supported else "float32") in precisions:
                raise error
            return whole()

        made.convert = failing
        return made

    monkeypatch.setattr(tf.lite.TFLiteConverter, "from_concrete_functions", from_concrete_functions)


@pytest.mark.slow
@pytest.mark.survives("a layer that TFLite does not have")
def test_unsupported_layer_leaves_out_every_format(calibration):
    made = converted(classifier(NotInTFLite()), calibration, is_gated=True)
    assert made.files == {}
    assert list(made.not_converted) == ["float32", "float16", "int8"]
    for reason in made.not_converted.values():
        assert reason.startswith("it does not convert to TFLite (")
        assert "'tf.Erf' op" in reason
        assert len(reason.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "error", [RuntimeError("no kernel"), ValueError("no kernel"), KeyError("no kernel"), TypeError("no kernel")]
)
@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_any_converter_exception_fails_only_that_format(monkeypatch, calibration, error, precision):
    fail_with(monkeypatch, error, precision)
    made = converted(classifier(), calibration, is_gated=True)
    assert set(made.files) == {"float32", "float16", "int8"} - {precision}
    assert "no kernel" in made.not_converted[precision]


@pytest.mark.slow
@pytest.mark.survives("the disk is full, or memory out, while a format is converted")
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        MemoryError(),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
    ],
)
def test_errors_not_caused_by_a_format_are_raised(monkeypatch, calibration, error):
    fail_with(monkeypatch, error, "float16")
    with pytest.raises(type(error)):
        converted(classifier(), calibration, is_gated=True)


@pytest.mark.slow
def test_broken_or_unfaithful_model_is_left_out(monkeypatch, calibration):
    model, other = classifier(), classifier()
    other.set_weights([-weight if weight.ndim == 2 else weight for weight in model.get_weights()])
    files = {"float32": to_tflite(other), "float16": b"no model", "int8": to_tflite(model)}
    monkeypatch.setattr(conversion, "to_tflite", lambda *_, **options: files[options["precision"]])
    made = converted(model, calibration, is_gated=True)
    assert list(made.files) == ["int8"]
    assert "a layer does not convert faithfully" in made.not_converted["float32"]
    assert made.not_converted["float16"].startswith("its TFLite model does not run (")


@pytest.mark.slow
def test_library_raises_if_a_requested_format_fails(monkeypatch, calibration, tmp_path):
    fail_with(monkeypatch, RuntimeError("no kernel\nat line 7"), "int8")
    with pytest.raises(ConversionError, match="does not convert to TFLite in int8: no kernel. Replace the layer"):
        export.export_classifier(classifier(), NAMES, tmp_path / "1", formats=["int8"], calibration=calibration)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_int8_without_calibration_is_a_usage_error():
    with pytest.raises(CompressorError, match="int8 needs calibration images") as caught:
        converted(classifier(), None, is_gated=True)  # type: ignore[arg-type]
    assert not isinstance(caught.value, ConversionError)


def test_error_can_be_pickled():
    error = pickle.loads(pickle.dumps(ConversionError("whole", "part")))  # noqa: S301
    assert (str(error), error.reason) == ("whole", "part")
