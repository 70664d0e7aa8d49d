from __future__ import annotations

import keras
import pytest

from compressor_lib.training.compute_budget import affordable_epochs
from compressor_lib.training.options import ReferenceOptions


def classifier(channels: int, size: int = 8) -> keras.Model:
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(channels, 1, use_bias=False)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))


def epochs(compute: float, channels: int, views: int = 8, **others) -> int:
    return affordable_epochs(compute, classifier(channels), classifier(100), views=views, **others)


def test_a_training_costs_a_pass_per_epoch_of_the_head_and_three_per_epoch_of_all_layers():
    assert ReferenceOptions(head_epochs=5, epochs=10).compute == 35


@pytest.mark.parametrize(("channels", "expected"), [(100, 9), (50, 18), (10, 90)])
def test_a_smaller_network_is_trained_for_more_epochs(channels, expected):
    assert epochs(35, channels) == expected


def test_a_smaller_image_is_paid_for_by_its_pixels():
    half = affordable_epochs(35, classifier(100, 4), classifier(100, 8), views=8)
    assert half == pytest.approx(4 * epochs(35, 100), abs=4)


def test_the_head_s_epochs_and_the_teacher_s_views_are_paid_for():
    assert epochs(38, 100, head_epochs=3) == 9
    assert epochs(28, 100, views=1) == 9


def test_only_views_that_the_epochs_use_are_paid_for():
    assert epochs(12, 100) == 3  # 3 views, and 3 epochs of 3 passes each
    assert epochs(13, 100, head_epochs=1) == 3  # with a fourth view for the head's epoch, and a pass


def test_a_budget_may_be_too_small_for_an_epoch():
    assert epochs(1, 100) == 0
