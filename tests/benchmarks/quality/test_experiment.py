from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.data import digits
from benchmarks.quality import experiment
from benchmarks.quality.budgets import Budget
from benchmarks.quality.compare import SHORT
from benchmarks.quality.experiment import MAGNITUDE, NARROWED, SIZE, TRUNCATION, TRUNCATION_AND_SIZE, WIDTH, Experiment
from benchmarks.quality.results import REFERENCE, SEARCHED
from compressor_lib.search.options import SearchOptions
from compressor_lib.training.options import ReferenceOptions

EFFORT = replace(
    SHORT.effort,
    size=64,
    sizes=(64, 48),
    reference=ReferenceOptions(head_epochs=1, epochs=3),
    search=SearchOptions(max_trials=2, max_epochs=1),
)


@pytest.mark.slow
@pytest.mark.long
def test_every_method_meets_the_budget_and_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(experiment, "RESULTS", tmp_path)
    images = digits({"train": 32, "validation": 16, "test": 16})
    budget = Budget(macs=0.7)
    results = Experiment(images, EFFORT, 0).measure([budget])

    assert [result.method for result in results] == [
        REFERENCE, SEARCHED, TRUNCATION, TRUNCATION_AND_SIZE, SIZE, WIDTH, MAGNITUDE, NARROWED,
    ]  # fmt: skip
    reference, *others = results
    assert all(result.macs <= 0.3 * reference.macs for result in others)
    assert {len(result.right) for result in results} == {16}

    monkeypatch.setattr(Experiment, "_measure", None)
    assert Experiment(images, EFFORT, 0).measure([budget]) == results
