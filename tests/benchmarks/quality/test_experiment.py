from __future__ import annotations

import keras
import pytest

from benchmarks import quality
from benchmarks.data import digits
from benchmarks.quality import SHORT, Experiment, Result, rank_correlation, summary
from compressor_lib.search.run import TrialReport


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
            (TrialReport("0", "a", 96, "a->head", 10, 10, 0.5, True, accuracy, 1 - accuracy, 0, 1.0, {}), retrained)
            for accuracy, retrained in pairs
        ]

    assert rank_correlation(ranked((0.5, 0.8), (0.6, 0.81), (0.9, 0.99))) == 1
    assert rank_correlation(ranked((0.5, 0.99), (0.6, 0.81), (0.9, 0.8))) == -1


@pytest.mark.slow
def test_a_result_is_measured_once(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(quality, "RESULTS", tmp_path)
    made = []

    def make(name: str) -> tuple[keras.Model, str]:
        made.append(name)
        model = keras.Sequential([keras.Input((96, 96, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
        model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model, "a->b"

    def measured(name: str, seed: int = 0) -> Result:
        return Experiment(digits(16), SHORT, seed).recorded(name, make, name)

    first = measured("one")
    assert (first.connection, first.parameters) == ("a->b", 96 * 96 * 3 * 10 + 10)
    assert measured("one") == first
    measured("other")
    measured("one", seed=1)
    assert made == ["one", "other", "one"]
