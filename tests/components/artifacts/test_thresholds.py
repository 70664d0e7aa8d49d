from __future__ import annotations

from made_up_report import judged

from components.artifacts.thresholds import decides, threshold_rows
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.gate import Thresholds, judge

OVERALL = judged("", 52, 1, 5, 2)
CLASSES = [judged("hat", 20, 1, 1, 2), judged("dress", 32, 0, 4, 0)]


def rows(thresholds: Thresholds, overall: EvalResult = OVERALL) -> dict[str, tuple[str, str, bool]]:
    verdict = judge(thresholds, overall, CLASSES, "")
    return {one.field: (one.asked, one.measured, one.is_kept) for one in threshold_rows(verdict)}


def test_each_threshold_is_listed_with_the_measured_value():
    assert rows(Thresholds(min_accuracy=0.8, max_drop=0.05, max_class_drop=0.2)) == {
        "gate.min_accuracy": ("at least 80.0 %", "88.3 % (53 of 60, 77.8 to 94.2 %)", True),
        "gate.max_drop": (
            "a loss of at most 5 points against the baseline",
            "-6.7 points (-16.7 to +1.8), no difference measured",
            False,
        ),
        "gate.max_class_drop": (
            "a loss of at most 20 points in any class",
            "class dress: -11.1 points (-25.3 to -0.4); 88.9 % (32 of 36, 74.7 to 95.6 %)",
            True,
        ),
    }


def test_lower_end_decides_with_confidence():
    found = rows(Thresholds(min_accuracy=0.8, max_drop=0.2, confidence=0.95))
    assert [kept for _, _, kept in found.values()] == [False, True]
    assert decides(judge(Thresholds(0.8, 0.2, confidence=0.9), OVERALL, [], "")) == (
        "The lower end of each interval decides, with 90 % confidence."
    )


def test_no_drop_without_a_baseline():
    alone = EvalResult.from_counts("", images=60, right=53)
    assert list(rows(Thresholds(min_accuracy=0.8, max_drop=0.2), alone)) == ["gate.min_accuracy"]


def test_met_thresholds_agree_with_the_gate():
    for thresholds in (
        Thresholds(0.8, 0.05),
        Thresholds(0.8, 0.07),
        Thresholds(0.9, 0.5),
        Thresholds(0.8, 0.5, 0.1),
        Thresholds(0.8, 0.5, 0.2),
    ):
        verdict = judge(thresholds, OVERALL, CLASSES, "")
        assert all(one.is_kept for one in threshold_rows(verdict)) == verdict.blessed
