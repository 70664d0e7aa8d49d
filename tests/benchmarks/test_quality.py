from __future__ import annotations

from benchmarks.quality import Result, rank_correlation, summary
from compressor_lib.search import TrialReport


def test_a_row_tells_means_over_seeds_and_the_loss_against_each_seeds_reference():
    one = [Result("reference", "", 1000, 0.90), Result("searched", "a->tail", 300, 0.88)]
    other = [Result("reference", "", 1000, 0.94), Result("searched", "b->tail", 500, 0.94)]
    assert summary([one, other]) == [
        ("reference", 1000, 0.0, "92.00", "4.00", "+0.00"),
        ("searched", 400, 60.0, "91.00", "6.00", "-1.00"),
    ]


def test_the_rank_correlation_is_between_accuracies():
    def ranked(*pairs: tuple[float, float]) -> list[tuple[TrialReport, float]]:
        return [
            (TrialReport("0", "a->head", 10, 10, 0.5, True, accuracy, 1 - accuracy, 1.0, {}), retrained)
            for accuracy, retrained in pairs
        ]

    assert rank_correlation(ranked((0.5, 0.8), (0.6, 0.81), (0.9, 0.99))) == 1
    assert rank_correlation(ranked((0.5, 0.99), (0.6, 0.81), (0.9, 0.8))) == -1
