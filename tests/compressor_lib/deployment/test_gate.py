from __future__ import annotations

import json

import pytest

from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.gate import Thresholds, Verdict, judge, judge_format, left_out_sentences
from compressor_lib.deployment.intervals import Interval, PairedCounts
from compressor_lib.errors import CompressorError

SURE = Thresholds(min_accuracy=0.9, max_drop=0.02, confidence=0.95)


def figure(value: float, low: float | None = None, high: float | None = None) -> Interval:
    return Interval(value, value if low is None else low, value if high is None else high)


def overall(accuracy: Interval, change: Interval | None = None) -> EvalResult:
    return EvalResult("", 200, 190, accuracy, figure(0.95), change)


def classes(*changes: float) -> list[EvalResult]:
    return [
        EvalResult(f"class{number}", 20, 18, figure(0.9 + change), figure(0.9), figure(change))
        for number, change in enumerate(changes)
    ]


def losing(lost: int, images: int = 200) -> EvalResult:
    """A model that errs where it lost, beside a baseline that never errs."""
    right = images - lost
    return EvalResult.from_counts("", images=images, right=right, pairs=PairedCounts(right, 0, lost, 0))


@pytest.mark.parametrize(
    ("accuracy", "change", "passes"),
    [
        (figure(0.9), figure(-0.02), True),
        (figure(0.899999), figure(-0.020000041), True),  # float32 of 0.9 and -0.02
        (figure(0.8999), figure(0.0), False),
        (figure(0.95), figure(-0.0201), False),
        (figure(0.95), None, True),
        (figure(float("nan")), None, False),
    ],
)
def test_measured_value_decides_without_confidence(accuracy, change, passes):
    assert judge(Thresholds(0.9, 0.02), overall(accuracy, change), [], "").blessed is passes


@pytest.mark.parametrize(
    ("accuracy", "change", "passes"),
    [
        (Interval(0.95, 0.91, 0.99), Interval(0.01, -0.015, 0.03), True),
        (Interval(0.95, 0.89, 0.99), Interval(0.01, -0.015, 0.03), False),
        (Interval(0.95, 0.91, 0.99), Interval(0.01, -0.03, 0.05), False),
    ],
)
def test_lower_end_decides_with_confidence(accuracy, change, passes):
    assert judge(SURE, overall(accuracy, change), [], "").blessed is passes


def test_figures_come_from_counts():
    judged = EvalResult.from_counts(
        "cat", images=60, right=59, pairs=PairedCounts(both=59, gained=0, lost=1, neither=0)
    )
    assert judged.accuracy.value == pytest.approx(59 / 60)
    assert (judged.accuracy.low, judged.accuracy.high) == pytest.approx((0.9114, 0.9971), abs=1e-4)
    assert judged.baseline is not None
    assert judged.baseline.value == 1
    assert judged.change is not None
    assert judged.change.value == pytest.approx(-1 / 60)
    assert judged.change.low < judged.change.value < 0 < judged.change.high  # one image is no measured loss


def test_no_change_without_comparison():
    judged = EvalResult.from_counts("new", images=20, right=19, pairs=PairedCounts(0, 0, 0, 0))
    assert (judged.baseline, judged.change, judged.pairs) == (None, None, None)


def test_reasons_show_counts_intervals_and_thresholds():
    judged = EvalResult.from_counts("", images=200, right=184, pairs=PairedCounts(184, 0, 10, 6))
    assert judge(SURE, judged, [], "").reasons == [
        "accuracy is 92.0 % (184 of 200, 87.4 to 95.0 %); the gate requires at least 90 % with 95 % confidence",
        "accuracy changes by -5.0 points (-9.0 to -2.7) against the baseline; "
        "the gate allows a drop of 2 points with 95 % confidence",
    ]


def test_reason_gives_the_number_of_compared_images():
    judged = EvalResult.from_counts("", images=80, right=64, pairs=PairedCounts(44, 0, 16, 0))
    (reason,) = judge(Thresholds(0.5, 0.02), judged, [], "").reasons
    assert "against the baseline, on 60 images of classes that both models have; the gate allows" in reason


def test_classes_may_lose_accuracy_without_a_class_threshold():
    assert judge(Thresholds(0.9, 0.02), overall(figure(0.95), figure(0.0)), classes(-0.5), "").blessed


def test_classes_that_lose_too_much_are_listed_worst_first():
    thresholds = Thresholds(0.9, 0.02, max_class_drop=0.1)
    verdict = judge(thresholds, overall(figure(0.95), figure(0.0)), classes(0.1, -0.2, -0.1, -0.3), "")
    assert [reason.partition(":")[0] for reason in verdict.reasons] == [
        "class class3 (20 test images)",
        "class class1 (20 test images)",
    ]
    assert "-30.0 points" in verdict.reasons[0]
    assert "the gate allows a drop of 10 points in any class" in verdict.reasons[0]
    assert verdict.worst_class == verdict.classes[3]


def test_only_the_worst_of_many_failing_classes_are_listed():
    verdict = judge(Thresholds(0.5, 0.5, max_class_drop=0.1), overall(figure(0.9)), classes(*[-0.4] * 8), "")
    assert len(verdict.reasons) == 6
    assert verdict.reasons[-1] == "and 3 more classes lose too much accuracy"


def test_failing_format_does_not_fail_the_model():
    thresholds = Thresholds(0.5, 0.02)
    formats = {"float32": judge_format(thresholds, losing(0), []), "int8": judge_format(thresholds, losing(30), [])}
    verdict = judge(thresholds, losing(0), [], "", formats=formats)
    assert verdict.blessed
    assert list(verdict.left_out) == ["int8"]
    (sentence,) = left_out_sentences(verdict)
    assert sentence.startswith("int8 is not pushed: accuracy changes by -15.0 points")


def test_formats_with_equal_reasons_are_listed_together():
    thresholds = Thresholds(0.5, 0.02)
    formats = {name: judge_format(thresholds, losing(30), []) for name in ("float16", "int8")}
    (sentence,) = left_out_sentences(judge(thresholds, losing(0), [], "", formats=formats))
    assert sentence.startswith("float16 and int8 are not pushed: accuracy changes by -15.0 points")


def test_failing_formats_of_a_failed_model_are_not_listed():
    thresholds = Thresholds(0.5, 0.02)
    formats = {"float32": judge_format(thresholds, losing(30), [])}
    verdict = judge(thresholds, losing(30), [], "", formats=formats, not_converted={"int8": "it does not convert"})
    assert left_out_sentences(verdict) == ["int8 is not pushed: it does not convert"]


@pytest.mark.parametrize(("lost", "images", "lossy"), [(1, 60, False), (3, 60, False), (30, 200, True)])
def test_conversion_is_lossy_by_its_interval(lost, images, lossy):
    change = losing(lost, images).change
    assert judge_format(Thresholds(0.5, 0.5), losing(lost, images), [], change).is_lossy is lossy


@pytest.mark.parametrize(
    ("thresholds", "confidence"), [(Thresholds(0.5, 0.1), 0.95), (Thresholds(0.5, 0.1, None, 0.8), 0.8)]
)
def test_intervals_have_the_gates_confidence(thresholds, confidence):
    assert judge(thresholds, losing(0), [], "").confidence_shown == confidence


def test_verdict_round_trip():
    formats = {"int8": judge_format(SURE, losing(30), [losing(3, 20)], losing(30).change)}
    verdict = judge(SURE, losing(20), classes(0.0), "abc", formats=formats, notes=["class emu is new"])
    assert Verdict.from_json(verdict.to_json()) == verdict
    assert verdict.worst_class is not None
    assert Verdict.from_json(judge(SURE, overall(figure(0.95)), [], "").to_json()).worst_class is None


@pytest.mark.parametrize("ends", [(None, None), (-0.1, 0.05)])
def test_verdict_without_counts_is_read(ends):
    change = {"value": -0.02, "low": ends[0], "high": ends[1]}
    share = {"value": 0.9, "low": None, "high": None}
    judged = {"name": "", "images": 50, "accuracy": share, "baseline": {**share, "value": 0.92}, "change": change}
    old = {
        "thresholds": {"min_accuracy": 0.5, "max_drop": 0.02, "max_class_drop": None, "confidence": None},
        "overall": judged,
        "classes": [{**judged, "name": "cat", "baseline": None, "change": None}],
        "model_sha256": "abc",
        "reasons": [],
    }
    verdict = Verdict.from_json(json.dumps(old))
    assert (verdict.overall.right, verdict.classes[0].right) == (45, 45)
    assert verdict.overall.accuracy.low == pytest.approx(0.786, abs=1e-3)
    assert verdict.overall.change is not None
    assert verdict.overall.change.low < -0.02 < verdict.overall.change.high
    assert (verdict.formats, verdict.notes, verdict.classes[0].change) == ({}, [], None)


@pytest.mark.parametrize("text", ["", "[]", '{"thresholds": {"least": 1}}'])
def test_invalid_verdict_is_rejected(text):
    with pytest.raises(CompressorError, match="evaluate the model again"):
        Verdict.from_json(text)


def test_format_that_does_not_convert_is_left_out_with_a_reason():
    thresholds, reason = Thresholds(0.5, 0.02), "it does not convert to TFLite (no kernel)"
    formats = {"float32": judge_format(thresholds, losing(0), []), "float16": judge_format(thresholds, losing(30), [])}
    verdict = judge(thresholds, losing(0), [], "", formats=formats, not_converted={"int8": reason})
    assert verdict.blessed
    assert list(verdict.failed) == ["float16"]
    assert list(verdict.left_out) == ["float16", "int8"]
    assert left_out_sentences(verdict)[1] == f"int8 is not pushed: {reason}"
    assert Verdict.from_json(verdict.to_json()) == verdict


def test_verdict_without_not_converted_is_read():
    verdict = judge(Thresholds(0.5, 0.02), losing(0), [], "")
    fields = json.loads(verdict.to_json())
    del fields["not_converted"]
    assert Verdict.from_json(json.dumps(fields)) == verdict
