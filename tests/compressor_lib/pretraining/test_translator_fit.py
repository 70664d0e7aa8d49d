from __future__ import annotations

import keras
import numpy as np
import pytest

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.errors import CompressorError
from compressor_lib.pretraining.taps import tapped
from compressor_lib.pretraining.translator_fit import TranslatorSums, fit_translators, regressions_of

CONNECTIONS = [
    Connection.rejoin("stem_relu", "last"),
    Connection.rejoin("add_1", "last"),
    Connection.rejoin("stem_relu", "depthwise"),
    Connection.head("add_1"),
]
DEEP = CONNECTIONS[1]


@pytest.fixture(scope="module")
def images(pixels) -> np.ndarray:
    return pixels(60, 16) / 127.5 - 1


def batches(images: np.ndarray, size: int = 16) -> list[np.ndarray]:
    return [images[start : start + size] for start in range(0, len(images), size)]


def intermediate(model: keras.Model, layer: str, x: np.ndarray) -> np.ndarray:
    return keras.Model(model.input, model.get_layer(layer).output)(x).numpy()


def around(base: keras.Model, connection: Connection, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the translator's convolution takes and what B received, one row a position."""
    source, producer = {"last": (True, "add_2"), "depthwise": (False, "expand_relu")}[connection.b]
    a = intermediate(base, connection.a, x)
    if source:
        n, h, w, c = a.shape
        a = a.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))
    y = intermediate(base, producer, x)
    return a.reshape(-1, a.shape[-1]).astype(np.float64), y.reshape(-1, y.shape[-1]).astype(np.float64)


def test_every_translator_is_its_regressions_solution(residual, images):
    sums = TranslatorSums(held_out=1e-9)  # all are fitted on
    regressions = regressions_of(residual, CONNECTIONS)
    model = tapped(residual, CONNECTIONS[:3], targets=True)
    for batch in batches(images):
        sums.add(model, batch, list(regressions.values()))
    bank = sums.solve(residual, CONNECTIONS, ridge=0.0)
    assert set(bank.translators) == {str(connection) for connection in CONNECTIONS[:3]}
    for connection in CONNECTIONS[:3]:
        x, y = around(residual, connection, images)
        expected, *_ = np.linalg.lstsq(np.hstack([x, np.ones((len(x), 1))]), y, rcond=None)
        translator = bank.translators[str(connection)]
        assert translator.kernel.dtype == translator.bias.dtype == np.float32
        np.testing.assert_allclose(translator.kernel, expected[:-1], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(translator.bias, expected[-1], rtol=1e-3, atol=1e-4)
        assert translator.r2 is None  # none was held out


def test_r2_is_measured_on_images_that_were_not_fitted_on(residual, images):
    bank = fit_translators(residual, CONNECTIONS, batches(images), held_out=0.3)
    fitted = TranslatorSums(0.3)
    model = tapped(residual, CONNECTIONS[:3], targets=True)
    held = []
    for image in images:  # which images are held out is their own matter, not the batch's
        one = TranslatorSums(0.3)
        one.add(model, image[None], list(regressions_of(residual, CONNECTIONS).values()))
        held.append(bool(one.scored.gram))
        assert bool(one.fitted.gram) != held[-1]
        fitted.merge(one)
    held = np.array(held)
    assert 0.1 < held.mean() < 0.5
    for connection in CONNECTIONS[:3]:
        translator = bank.translators[str(connection)]
        x, y = around(residual, connection, images[held])
        wrong = np.square(y - x @ translator.kernel - translator.bias).sum()
        assert translator.r2 == pytest.approx(1 - wrong / np.square(y - y.mean(0)).sum(), abs=1e-3)
    merged = fitted.solve(residual, CONNECTIONS)
    for name, translator in bank.translators.items():
        np.testing.assert_allclose(merged.translators[name].kernel, translator.kernel, rtol=1e-3, atol=1e-5)


def test_what_b_can_be_told_exactly_is_told_exactly(residual, images):
    nothing_between = Connection.rejoin("add_2", "last")
    bank = fit_translators(residual, [nothing_between], batches(images), ridge=1e-9)
    translator = bank.translators[str(nothing_between)]
    assert translator.r2 > 0.9999
    np.testing.assert_allclose(translator.kernel, np.eye(8), atol=1e-3)
    submodel = create_submodel(residual, nothing_between)
    bank.apply(submodel, nothing_between)
    np.testing.assert_allclose(submodel(images), residual(images), rtol=1e-2, atol=1e-3)


def test_a_fitted_translator_brings_the_subnetwork_closer_to_the_whole(residual, images, pixels):
    bank = fit_translators(residual, CONNECTIONS, batches(images))
    other = pixels(20, 16, seed=5) / 127.5 - 1
    wanted = residual(other).numpy()
    for connection in CONNECTIONS[:2]:
        submodel = create_submodel(residual, connection)
        before = np.square(submodel(other) - wanted).mean()
        bank.apply(submodel, connection)
        assert np.square(submodel(other) - wanted).mean() < 0.5 * before


def test_one_pass_over_the_images_fits_them_all(residual, images):
    passes = []

    def stream():
        passes.append(1)
        yield from batches(images)

    fit_translators(residual, CONNECTIONS, stream())
    assert len(passes) == 1
    assert len(fit_translators(residual, CONNECTIONS[3:], stream()).translators) == 0
    assert len(passes) == 1  # truncations have nothing to fit


def test_batches_of_one_and_of_all_fit_the_same(residual, images):
    banks = [fit_translators(residual, [DEEP], batches(images, size)) for size in (1, 60)]
    one, other = (bank.translators[str(DEEP)] for bank in banks)
    np.testing.assert_allclose(one.kernel, other.kernel, rtol=1e-3, atol=1e-5)
    assert one.r2 == pytest.approx(other.r2, abs=1e-5)


@pytest.mark.slow
def test_images_may_be_bytes_and_tensors(mobilenet_v2, pixels):
    keras_ops = keras.ops
    whole = pixels(8).round()
    connection = Connection.rejoin("block_5_add", "Conv_1")
    banks = [
        fit_translators(mobilenet_v2, [connection], [x], held_out=1e-9)
        for x in (whole, whole.astype(np.uint8), keras_ops.convert_to_tensor(whole))
    ]
    kernels = [bank.translators[str(connection)].kernel for bank in banks]
    np.testing.assert_allclose(kernels[0], kernels[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(kernels[0], kernels[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("images", [[], iter(())])
def test_no_images_are_rejected(residual, images):
    with pytest.raises(CompressorError, match="no images to fit translators on"):
        fit_translators(residual, CONNECTIONS, images)


@pytest.mark.parametrize("held_out", [0, 1, -0.1, 1.5, float("nan")])
def test_share_outside_0_to_1_is_rejected(residual, held_out):
    with pytest.raises(CompressorError, match="choose a share between 0 and 1"):
        fit_translators(residual, CONNECTIONS, [], held_out=held_out)


@pytest.mark.slow
def test_fitting_does_not_change_the_backbone(fresh_residual, images):
    before = fresh_residual.get_weights()
    fit_translators(fresh_residual, CONNECTIONS, batches(images))
    for now, then in zip(fresh_residual.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
