from __future__ import annotations

import base64
import io

import keras
import numpy as np
import pytest
from PIL import Image

from components.report.answers import CHANGED_A_CLASS, accuracy, compare_answers, recalls, worst_hit

CLASSES = ["dark", "grey", "bright"]


def by_brightness(*limits: float) -> keras.Model:
    """Names a picture by its mean, whose classes end at these limits."""
    pictures = keras.Input((4, 4, 3))
    mean = keras.ops.mean(pictures, axis=(1, 2, 3), keepdims=False)[:, None]
    steps = [keras.ops.cast(mean >= limit, "float32") for limit in limits]
    scores = keras.ops.concatenate([1 - steps[0], steps[0] - steps[1], steps[1]], axis=-1)
    return keras.Model(pictures, keras.ops.softmax(5 * scores))


@pytest.fixture(scope="module")
def answers():
    """Twenty dark pictures and one bright one; the compressed model takes the lighter half of the dark for grey."""
    values = [*range(0, 80, 4), 250]
    pictures = np.stack([np.full((4, 4, 3), value, np.uint8) for value in values])
    labels = np.array([0] * 20 + [2])
    batches = [(pictures[:15], labels[:15]), (pictures[15:], labels[15:])]
    return compare_answers(by_brightness(100, 200), by_brightness(40, 200), batches, CLASSES)


def test_each_answer_is_counted(answers):
    assert answers.reference == [{0: 20}, {}, {2: 1}]
    assert answers.compressed == [{0: 10, 1: 10}, {}, {2: 1}]
    assert accuracy(answers.compressed) == 11 / 21
    assert recalls(answers.compressed) == [0.5, None, 1.0]


def test_the_classes_that_lost_most_are_told():
    before = [{0: 10}, {1: 10}, {2: 10}, {3: 10}, {}, {5: 10}, {6: 5, 0: 5}, {7: 10}]
    after = [{0: 5, 1: 5}, {1: 10}, {2: 1, 3: 9}, {3: 9, 0: 1}, {}, {5: 3, 0: 7}, {6: 10}, {7: 8, 0: 2}]
    assert worst_hit(before, after) == [2, 5, 0, 7]


def test_some_pictures_that_went_wrong_are_kept(answers):
    assert list(answers.changed) == ["dark"]
    assert len(answers.changed["dark"]) == CHANGED_A_CLASS
    picture = answers.changed["dark"][0]
    assert picture.answer == "grey"
    assert picture.confidence > 0.9
    kind, _, content = picture.image.partition(",")
    assert kind == "data:image/jpeg;base64"
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    assert np.abs(np.asarray(image).astype(int) - 40).max() <= 2
