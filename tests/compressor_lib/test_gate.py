from __future__ import annotations

import pytest

from compressor_lib.gate import Bounds, Figure, Judged, Verdict, judge

SURE = Bounds(min_accuracy=0.9, max_drop=0.02, confidence=0.95)


def overall(accuracy: Figure, change: Figure | None = None) -> Judged:
    return Judged("", 200, accuracy, Figure(0.95), change)


def classes(*changes: float) -> list[Judged]:
    return [
        Judged(f"class{number}", 20, Figure(0.9 + change), Figure(0.9), Figure(change))
        for number, change in enumerate(changes)
    ]


@pytest.mark.parametrize(
    ("accuracy", "change", "passes"),
    [
        (Figure(0.9), Figure(-0.02), True),
        (Figure(0.899999), Figure(-0.020000041), True),  # float32 of 0.9 and -0.02
        (Figure(0.8999), Figure(0.0), False),
        (Figure(0.95), Figure(-0.0201), False),
        (Figure(0.95), None, True),
        (Figure(float("nan")), None, False),
    ],
)
def test_without_a_confidence_what_was_measured_decides(accuracy, change, passes):
    assert judge(Bounds(0.9, 0.02), overall(accuracy, change), [], "").blessed is passes


@pytest.mark.parametrize(
    ("accuracy", "change", "passes"),
    [
        (Figure(0.95, 0.91, 0.99), Figure(0.01, -0.015, 0.03), True),
        (Figure(0.95, 0.89, 0.99), Figure(0.01, -0.015, 0.03), False),
        (Figure(0.95, 0.91, 0.99), Figure(0.01, -0.03, 0.05), False),
    ],
)
def test_with_a_confidence_the_lower_end_decides(accuracy, change, passes):
    assert judge(SURE, overall(accuracy, change), [], "").blessed is passes


def test_reasons_tell_what_was_measured_how_sure_that_is_and_what_is_asked_for():
    verdict = judge(SURE, overall(Figure(0.92, 0.88, 0.96), Figure(0.0, -0.031, 0.031)), [], "")
    assert verdict.reasons == [
        "accuracy is 92.00%, with 95% confidence at least 88.00%; gate.min_accuracy asks for 90.00%",
        "accuracy changes by +0.00 points against the baseline, with 95% confidence at least -3.10; "
        "gate.max_drop allows a drop of 2.00",
    ]


def test_a_class_may_lose_what_it_likes_where_nothing_bounds_it():
    assert judge(Bounds(0.9, 0.02), overall(Figure(0.95), Figure(0.0)), classes(-0.5), "").blessed


def test_each_class_is_held_to_its_bound_the_worst_is_told_first():
    bounds = Bounds(0.9, 0.02, per_class=0.1)
    verdict = judge(bounds, overall(Figure(0.95), Figure(0.0)), classes(0.1, -0.2, -0.1, -0.3), "")
    assert [reason.partition(":")[0] for reason in verdict.reasons] == [
        "class class3 (20 test pictures)",
        "class class1 (20 test pictures)",
    ]
    assert "-30.00 points" in verdict.reasons[0]
    assert "gate.per_class allows a drop of 10.00" in verdict.reasons[0]
    assert verdict.worst_class == verdict.classes[3]


def test_of_many_failing_classes_the_worst_are_told():
    verdict = judge(Bounds(0.5, 0.5, per_class=0.1), overall(Figure(0.9)), classes(*[-0.4] * 8), "")
    assert len(verdict.reasons) == 6
    assert verdict.reasons[-1] == "and likewise 3 more classes"


def test_a_verdict_is_read_as_it_was_written():
    verdict = judge(SURE, overall(Figure(0.8, 0.7, 0.9), None), classes(0.0), "abc")
    assert Verdict.from_json(verdict.to_json()) == verdict
    assert verdict.worst_class is not None
    assert Verdict.from_json(judge(SURE, overall(Figure(0.95)), [], "").to_json()).worst_class is None
