"""ImageNet weights on photographs: the method does what the paper says it does."""

from __future__ import annotations

import os
import re
from pathlib import Path

import keras
import numpy as np
import pytest

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.deployment.images import decode_image
from compressor_lib.deployment.tflite import tflite_predict, to_tflite
from compressor_lib.errors import CompressorError
from compressor_lib.networks.backbones import BACKBONES
from compressor_lib.networks.heads import attach_head
from compressor_lib.pretraining.translator_fit import fit_translators

ROOT = Path(__file__).parents[3]
DATA = ROOT / os.environ.get("COMPRESSOR_TEST_DATA", "../shared/data")
SIZE, IMAGES = 160, 192

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(
        not (DATA / "weights").is_dir() or not (DATA / "clothing").is_dir(),
        reason=f"no weights/ and clothing/ in {DATA}: set COMPRESSOR_TEST_DATA to where they are",
    ),
]

WEIGHTS = [
    ("MobileNetV2", 1.0, "mobilenet_v2_1.0_224_no_top.h5"),
    ("MobileNetV2", 0.35, "mobilenet_v2_0.35_224_no_top.h5"),
    ("MobileNet", 1.0, "mobilenet_1.0_224_no_top.h5"),
]


@pytest.fixture(scope="module")
def photographs() -> np.ndarray:
    files = sorted((DATA / "clothing" / "train").glob("*/*.jpg"))
    chosen = files[:: len(files) // IMAGES][:IMAGES]
    images = [decode_image(file.read_bytes(), SIZE) for file in chosen]
    return np.stack(images).astype(np.float32)


def real(name: str, alpha: float, file: str, size: int = SIZE):
    weights = DATA / "weights" / file
    return BACKBONES[name].build(input_size=size, weights=weights, alpha=alpha, preprocess=True)


@pytest.mark.parametrize(("name", "alpha", "file"), WEIGHTS)
def test_the_weights_fit_the_network(name, alpha, file, photographs):
    base = real(name, alpha, file, 96)
    small = photographs[:8, ::2, ::2][:, :80, :80]
    features = base.predict(np.pad(small, [(0, 0), (8, 8), (8, 8), (0, 0)]), verbose=0)
    assert np.isfinite(features).all()
    # A trained network answers to what is in the image: no dead answer, and each image its own.
    means = features.mean((1, 2))
    assert np.ptp(means, axis=0).max() > 0.5
    assert np.linalg.matrix_rank(means) == 8


@pytest.mark.parametrize(("name", "alpha", "file"), WEIGHTS)
def test_weights_do_not_fit_other_networks(name, alpha, file):
    other, width = ("MobileNet", 1.0) if name == "MobileNetV2" else ("MobileNetV2", 1.0)
    with pytest.raises(CompressorError, match=re.escape(file)):
        BACKBONES[other].build(input_size=96, weights=DATA / "weights" / file, alpha=width)


def test_translators_fit_better_at_deeper_cuts(photographs):
    base = real(*WEIGHTS[0])
    cuts = ["block_1_project_BN", "block_5_add", "block_10_project_BN", "block_12_add", "block_14_add"]
    rejoin = {"block_16_expand": 0.7, "Conv_1": 0.15}
    connections = [Connection.rejoin(a, b) for b in rejoin for a in cuts]
    bank = fit_translators(base, connections, np.split(photographs, 6), held_out=0.25)
    for b, least in rejoin.items():
        r2 = [bank.translators[f"{a}->{b}"].r2 for a in cuts]
        assert r2 == sorted(r2)
        assert r2[-1] > least > r2[1] + 0.1
    connection = Connection.rejoin("block_14_add", "block_16_expand")
    submodel = create_submodel(base, connection)
    few = photographs[:8]
    wanted = base.predict(few, verbose=0).mean((1, 2))
    before = np.square(submodel.predict(few, verbose=0).mean((1, 2)) - wanted).mean()
    bank.apply(submodel, connection)
    after = np.square(submodel.predict(few, verbose=0).mean((1, 2)) - wanted).mean()
    assert after < 0.3 * before


def test_int8_keeps_the_accuracy_of_float():
    def split(name: str, per_class: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = [
            (file, label)
            for label, kind in enumerate(sorted((DATA / "clothing" / name).iterdir()))
            for file in sorted(kind.glob("*.jpg"))[:per_class]
        ]
        images = [decode_image(file.read_bytes(), SIZE) for file, _ in chosen]
        return np.stack(images), np.array([label for _, label in chosen])

    keras.utils.set_random_seed(0)
    train, labels = split("train", 60)
    base = real(*WEIGHTS[0])
    model = attach_head(base, 10, name="classifier", units=0, dropout=0.0)
    features = base.predict(train.astype(np.float32), verbose=0).mean((1, 2))
    head = keras.Sequential([keras.Input(features.shape[1:]), keras.layers.Dense(10, activation="softmax")])
    head.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    head.fit(features, labels, batch_size=64, epochs=40, verbose=0)
    model.get_layer("classifier").set_weights(head.get_weights())

    test, wanted = split("test", 80)
    calibration = train[:: len(train) // 100]
    accuracies, sizes = {}, {}
    for precision in ("float32", "float16", "int8"):
        tflite = to_tflite(model, precision=precision, calibration=calibration)
        accuracies[precision] = (tflite_predict(tflite, test).argmax(-1) == wanted).mean()
        sizes[precision] = len(tflite)
    assert accuracies["float32"] > 0.7
    assert abs(accuracies["float16"] - accuracies["float32"]) < 0.005
    assert accuracies["int8"] > accuracies["float32"] - 0.015
    assert sizes["float16"] < 0.55 * sizes["float32"]
    assert sizes["int8"] < 0.35 * sizes["float32"]
