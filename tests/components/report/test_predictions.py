from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from components.artifacts.predictions import MODEL, REFERENCE, ModelPredictions, Predictions
from components.report.confusion import recalls, worst_hit
from components.report.data import ComparedPredictions
from components.report.predictions import CHANGED_A_CLASS, RIGHT, UNKNOWN, WRONG, compare_predictions

CLASSES = ["dark", "grey", "bright"]


def predicted(classes: list[str], names: list[str], probabilities: list[float]) -> ModelPredictions:
    """What a model predicts, by the names of its own classes."""
    return ModelPredictions(
        classes,
        np.array([classes.index(name) for name in names]),
        np.array(probabilities, np.float32),
        np.array([1 - one for one in probabilities], np.float32),
    )


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (160, 80), (value, value, value)).save(file, "PNG")
    return file.getvalue()


def predictions(compressed_classes: list[str]) -> ComparedPredictions:
    """Twenty dark images and one bright one; the compressed model takes the lighter half of the dark for grey."""
    names = ["dark"] * 10 + ["grey"] * 10 + ["bright"]
    sure = [0.5 + place / 100 for place in range(21)]
    found = Predictions(
        CLASSES,
        np.array([0] * 20 + [2]),
        [f"key {place}" for place in range(21)],
        {
            REFERENCE: predicted(CLASSES, ["dark"] * 20 + ["bright"], [0.9] * 21),
            MODEL: predicted(compressed_classes, names, sure),
        },
    )
    return compare_predictions(found, lambda keys: {key: png(4 * int(key.split()[1])) for key in keys})


@pytest.mark.parametrize("order", [CLASSES, ["grey", "bright", "dark"]])
def test_predictions_are_counted_by_class_name(order):
    found = predictions(order)
    assert found.classes == CLASSES
    assert found.reference == [{0: 20}, {}, {2: 1}]
    assert found.compressed == [{0: 10, 1: 10}, {}, {2: 1}]
    assert (found.lost, found.gained) == (10, 0)
    assert recalls(found.compressed) == [0.5, None, 1.0]


@pytest.mark.parametrize("order", [CLASSES, ["grey", "bright", "dark"]])
def test_the_worst_images_come_first(order):
    found = predictions(order)
    assert [(one.true, one.predicted) for one in found.wrong] == [("dark", "grey")] * 10
    assert [one.probability for one in found.wrong] == pytest.approx([0.69 - place / 100 for place in range(10)])
    assert round(found.wrong[0].true_probability, 2) == 0.31
    assert all(one.reference_is_right for one in found.wrong)
    assert [one.probability for one in found.right] == pytest.approx([0.5 + place / 100 for place in range(RIGHT)])
    assert {one.predicted for one in found.right} == {"dark"}


def test_few_of_many_wrong_images_are_kept():
    count = 5 * WRONG
    probabilities = np.linspace(0.3, 0.9, count).tolist()
    wrong = predicted(CLASSES, ["grey"] * count, probabilities)
    found = Predictions(
        CLASSES, np.zeros(count, int), [str(place) for place in range(count)], {REFERENCE: wrong, MODEL: wrong}
    )
    asked: list[str] = []

    def read(keys):
        asked.extend(keys)
        return {key: png(1) for key in keys}

    kept = compare_predictions(found, read).wrong
    assert len(kept) == len(asked) == WRONG
    assert kept[0].probability == pytest.approx(0.9)
    assert not any(one.reference_is_right for one in kept)


def test_image_of_an_unknown_class_is_wrong():
    model = predicted(CLASSES, ["grey"], [0.8])
    found = Predictions(CLASSES, np.array([-1]), ["key"], {REFERENCE: model, MODEL: model})
    (one,) = compare_predictions(found, lambda keys: {key: png(1) for key in keys}).wrong
    assert (one.true, one.predicted) == (UNKNOWN, "grey")


def test_classes_that_lost_most_are_listed():
    before = [{0: 10}, {1: 10}, {2: 10}, {3: 10}, {}, {5: 10}, {6: 5, 0: 5}, {7: 10}]
    after = [{0: 5, 1: 5}, {1: 10}, {2: 1, 3: 9}, {3: 9, 0: 1}, {}, {5: 3, 0: 7}, {6: 10}, {7: 8, 0: 2}]
    assert worst_hit(before, after) == [2, 5, 0, 7]


def test_changed_images_are_kept_as_thumbnails():
    found = predictions(CLASSES)
    assert list(found.changed) == ["dark"]
    assert len(found.changed["dark"]) == CHANGED_A_CLASS
    kind, _, content = found.changed["dark"][0].image.partition(",")
    assert kind == "data:image/jpeg;base64"
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    assert image.size == (112, 56)
    assert np.abs(np.asarray(image).astype(int) - 40).max() <= 2
