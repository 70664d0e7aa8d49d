from __future__ import annotations

import numpy as np
import pytest

from components.artifacts.predictions import PREDICTIONS_FILE, ModelPredictions, Predictions, image_key
from compressor_lib.deployment.intervals import PairedCounts
from compressor_lib.errors import CompressorError


def model(classes: list[str], predicted: list[int]) -> ModelPredictions:
    probability = np.full(len(predicted), 0.75, np.float32)
    return ModelPredictions(classes, np.array(predicted, np.int64), probability, probability / 2)


@pytest.fixture
def predictions() -> Predictions:
    """Of four images; `old` has the classes in another order, and one that `new` does not have."""
    labels = np.array([0, 1, 1, -1], np.int64)
    models = {"new": model(["café", "dog"], [0, 1, 0, 1]), "old": model(["dog", "emu", "café"], [0, 0, 0, 0])}
    return Predictions(["café", "dog"], labels, ["k0", "k1", "k2", "k3"], models)


def test_predictions_are_correct_by_class_name(predictions):
    assert predictions.right("new").tolist() == [True, True, False, False]
    assert predictions.right("old").tolist() == [False, True, True, False]


def test_pairs_count_correct_predictions(predictions):
    assert predictions.pairs("new", "old") == PairedCounts(both=1, gained=1, lost=1, neither=1)
    assert predictions.pairs("new", "old", predictions.labels == 1) == PairedCounts(both=1, gained=0, lost=1, neither=0)


@pytest.mark.parametrize("images", [4, 0])
def test_predictions_round_trip(predictions, tmp_path, images):
    models = {
        name: ModelPredictions(
            one.classes, one.predicted[:images], one.probability[:images], one.true_probability[:images]
        )
        for name, one in predictions.models.items()
    }
    few = Predictions(predictions.classes, predictions.labels[:images], predictions.images[:images], models)
    few.write(str(tmp_path))
    read = Predictions.read(str(tmp_path))
    assert (read.classes, read.images, list(read.models)) == (few.classes, few.images, list(few.models))
    np.testing.assert_array_equal(read.labels, few.labels)
    for name, one in few.models.items():
        assert read.models[name].classes == one.classes
        for field in ("predicted", "probability", "true_probability"):
            np.testing.assert_array_equal(getattr(read.models[name], field), getattr(one, field))


@pytest.mark.parametrize("content", [None, b"", b"PK no archive"])
def test_unreadable_predictions_are_reported(tmp_path, content):
    if content is not None:
        (tmp_path / PREDICTIONS_FILE).write_bytes(content)
    with pytest.raises(CompressorError, match=r"predictions\.npz' cannot be read: run the pipeline again"):
        Predictions.read(str(tmp_path))


def test_image_key_depends_on_the_content():
    assert image_key(b"one") == image_key(b"one") != image_key(b"other")
