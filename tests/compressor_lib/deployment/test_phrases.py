from __future__ import annotations

import pytest

from compressor_lib.deployment import phrases
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.intervals import Interval, PairedCounts
from compressor_lib.deployment.model_metrics import Latency, Speedup


@pytest.mark.parametrize(
    ("right", "images", "shown"),
    [
        (59, 60, "98.3 % (59 of 60, 91.1 to 99.7 %)"),
        (60, 60, "100.0 % (60 of 60, 94.0 to 100.0 %)"),
        (1234, 2000, "61.7 % (1,234 of 2,000, 59.5 to 63.8 %)"),
        (0, 0, "not measured (0 images)"),
    ],
)
def test_an_accuracy_has_its_count_and_interval(right, images, shown):
    assert phrases.accuracy(EvalResult.from_counts("", images=images, right=right)) == shown


def test_a_cut_names_its_network_where_there_was_a_choice():
    assert phrases.cut("a->head") == "a->head"
    assert phrases.cut("a->head", input_size=96) == "a->head of 96 px"
    assert phrases.cut("a->head", "MobileNet", 96) == "a->head of MobileNet, 96 px"


def test_interval_has_the_requested_confidence():
    judged = EvalResult.from_counts("", images=1200, right=1150, confidence=0.8)
    assert phrases.accuracy(judged) == "95.8 % (1,150 of 1,200, 95.0 to 96.5 %)"


def test_change_that_rounds_to_zero_has_no_minus():
    assert phrases.points(Interval(-0.0204, -0.05, 0.0002)) == "-2.0 points (-5.0 to +0.0)"
    assert phrases.points(Interval(-0.0001, -0.05, 0.02)) == "+0.0 points (-5.0 to +2.0)"


def test_figures_come_in_parts_for_the_lines_of_a_cell():
    assert phrases.accuracy_parts(EvalResult.from_counts("", images=60, right=59)) == (
        "98.3 %", "59 of 60", "91.1 to 99.7 %",
    )  # fmt: skip
    assert phrases.accuracy_parts(EvalResult.from_counts("", images=0, right=0)) == ("not measured (0 images)",)
    assert phrases.compared_parts(Interval(-0.2, -0.318, -0.118)) == ("-20.0 points", "-31.8 to -11.8")
    assert phrases.compared_parts(Interval(0.0, -0.06, 0.06)) == (
        "+0.0 points", "-6.0 to +6.0", "no difference measured",
    )  # fmt: skip
    assert phrases.milliseconds_parts(Latency(2.146, 2.1, 2.244)) == ("2.15 ms", "2.10 to 2.24")
    assert phrases.speed_parts(Speedup(1.9, 1.7, 2.1)) == ("1.9 times as fast", "1.7 to 2.1")
    assert phrases.speed_parts(Speedup(1.9, 1.0, 2.5)) == ("no difference measured",)


@pytest.mark.parametrize(
    ("gained", "lost", "shown"),
    [
        (0, 1, "-1.7 points (-8.9 to +4.5), no difference measured"),
        (4, 3, "+1.7 points (-8.3 to +11.9), no difference measured"),
        (0, 12, "-20.0 points (-31.8 to -11.8)"),
    ],
)
def test_difference_is_only_stated_if_measured(gained, lost, shown):
    pairs = PairedCounts(both=60 - gained - lost, gained=gained, lost=lost, neither=0)
    change = EvalResult.from_counts("", images=60, right=pairs.new_right, pairs=pairs).change
    assert phrases.compared(change) == shown


@pytest.mark.parametrize(
    ("speedup", "shown"),
    [
        (Speedup(1.9, 1.7, 2.1), "1.9 times as fast (1.7 to 2.1)"),
        (Speedup(0.5, 0.4, 0.8), "takes 2.0 times as long (1.2 to 2.5)"),
        (Speedup(0.47, 0.4, 1.1), "no difference measured"),
        (Speedup(1.9, 1.0, 2.5), "no difference measured"),
    ],
)
def test_no_ratio_if_the_interval_contains_1(speedup, shown):
    assert phrases.speed(speedup) == shown


def test_latency_has_its_interval():
    assert phrases.milliseconds(Latency(2.146, 2.1, 2.244)) == "2.15 ms (2.10 to 2.24)"
    assert phrases.milliseconds(Latency(0.07041, 0.0698, 0.07114)) == "0.0704 ms (0.0698 to 0.0711)"
    assert phrases.milliseconds(Latency(0.421, 0.4, 0.45)) == "0.421 ms (0.400 to 0.450)"
