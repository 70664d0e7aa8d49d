from __future__ import annotations

import pytest

from compressor_lib.training.learning_rate import LearningRate


def rates(rate: LearningRate) -> list[float]:
    return [round(rate.at(step), 4) for step in range(rate.ends + 1)]


def test_it_rises_stays_and_falls_to_zero():
    assert rates(LearningRate(0.1, epoch=2, epochs=6)) == [
        0, 0.05, 0.1, 0.1, 0.1, 0.1, 0.1, 0.0933, 0.075, 0.05, 0.025, 0.0067, 0,
    ]  # fmt: skip


def test_it_rises_for_an_epoch_at_most_and_a_fifth_of_a_short_training():
    def steps_to_peak(epochs: int) -> int:
        return rates(LearningRate(0.1, epoch=10, epochs=epochs)).index(0.1)

    assert [steps_to_peak(epochs) for epochs in (1, 3, 5, 50)] == [2, 6, 10, 10]


@pytest.mark.parametrize(("step", "falls", "ends"), [(10, 10, 20), (20, 20, 40), (25, 25, 50), (30, 25, 50)])
def test_it_can_fall_early_and_then_ends_early(step, falls, ends):
    rate = LearningRate(0.1, epoch=10, epochs=5)
    rate.fall_from(step)
    assert (rate.falls, rate.ends) == (falls, ends)
    assert rate.at(falls) == 0.1
    assert rate.at(ends) == pytest.approx(0)


def test_falling_again_changes_nothing():
    rate = LearningRate(0.1, epoch=10, epochs=5)
    rate.fall_from(10)
    rate.fall_from(15)
    assert (rate.falls, rate.ends) == (10, 20)


def test_without_steps_there_is_no_rate_to_ask_for():
    assert LearningRate(0.1, epoch=10, epochs=0).ends == 0
