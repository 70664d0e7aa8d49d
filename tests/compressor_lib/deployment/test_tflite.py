from __future__ import annotations

import logging
from typing import get_args

import keras
import numpy as np
import pytest

from compressor_lib.deployment.precision import Precision
from compressor_lib.deployment.tflite import tflite_interpreter, tflite_predict, to_tflite
from compressor_lib.errors import CompressorError

SIZE = 16
CONVOLUTIONS = 7


@pytest.fixture(scope="module")
def images(pixels) -> np.ndarray:
    return pixels(16, SIZE).astype(np.uint8)


@pytest.fixture(scope="module")
def model(residual, images) -> keras.Model:
    """A classifier that tells the images apart: its logits spread by 3 about 0."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    features = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(residual(scaled)))
    logits = keras.layers.Dense(3)
    model = keras.Model(inputs, keras.layers.Softmax()(logits(features.output)))
    raw = logits(features(images.astype(np.float32))).numpy()
    logits.kernel.assign(logits.kernel * (3 / raw.std(axis=0)))
    logits.bias.assign(-raw.mean(axis=0) * (3 / raw.std(axis=0)))
    return model


@pytest.fixture(scope="module")
def expected(model, images) -> np.ndarray:
    return model(images.astype(np.float32), training=False).numpy()


@pytest.fixture(scope="module")
def calibration(images) -> np.ndarray:
    return images.astype(np.float32)


@pytest.fixture(scope="module")
def twins(model, calibration) -> dict[str, bytes]:
    return {
        precision: to_tflite(model, precision=precision, calibration=calibration) for precision in get_args(Precision)
    }


def tensors(tflite: bytes) -> list[dict]:
    return tflite_interpreter(tflite).get_tensor_details()


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("float16", 0.02), ("int8", 0.4)])
def test_predictions_match_the_model(twins, images, expected, precision, tolerance):
    assert np.ptp(expected, axis=0).max() > 0.5
    answers = tflite_predict(twins[precision], images)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, expected, atol=tolerance)
    np.testing.assert_allclose(answers.sum(axis=-1), 1, atol=0.01)
    np.testing.assert_array_equal(tflite_predict(twins[precision], images.astype(np.float64)), answers)


def test_narrower_weights_take_fewer_bytes(twins):
    sizes = {precision: len(tflite) for precision, tflite in twins.items()}
    assert sizes["float16"] < sizes["float32"]


def test_int8_model_has_only_integers_and_takes_pixels(twins):
    assert {np.dtype(tensor["dtype"]).kind for tensor in tensors(twins["int8"])} <= {"i", "u"}
    interpreter = tflite_interpreter(twins["int8"])
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (source["dtype"], target["dtype"]) == (np.uint8, np.uint8)
    assert source["quantization"] == (pytest.approx(1.0), 0)
    assert target["quantization"] == (1 / 256, 0)


def test_int8_folds_batch_norms_and_scales_each_channel(twins):
    kernels = [
        tensor
        for tensor in tensors(twins["int8"])
        if len(tensor["shape"]) == 4 and len(tensor["quantization_parameters"]["scales"]) > 1
    ]
    assert len(kernels) == CONVOLUTIONS


def test_int8_does_not_change_the_calibration_images(twins, calibration, images):
    assert len(twins) == 3
    np.testing.assert_array_equal(calibration, images)


@pytest.mark.parametrize("none", [None, np.zeros((0, SIZE, SIZE, 3), np.uint8)])
def test_int8_without_calibration_is_rejected(model, none):
    with pytest.raises(CompressorError, match="int8 needs calibration images"):
        to_tflite(model, precision="int8", calibration=none)


def test_unknown_precision_is_rejected(model):
    with pytest.raises(CompressorError, match="unknown precision 'int4': choose float32, float16, int8"):
        to_tflite(model, precision="int4")


def test_converter_output_goes_to_the_log(model, images, capfd, caplog):
    with caplog.at_level(logging.DEBUG, "compressor_lib.deployment.tflite"):
        tflite_predict(to_tflite(model, precision="int8", calibration=images[:2]), images[:1])
    assert capfd.readouterr() == ("", "")
    assert any("Ignored output_format" in record.message for record in caplog.records)
