from __future__ import annotations

import io
from dataclasses import asdict

from rich.console import Console

from components.artifacts.data_summary import DataSummary
from pipelines.results.data_summary import render_summary

IMAGES = {"train": {"cat": 40, "dog": 120}, "eval": {"cat": 5, "dog": 5}}


def shown(summary: DataSummary) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(render_summary(asdict(summary)))
    return " ".join(console.file.getvalue().split())


def test_every_split_has_its_row():
    text = shown(DataSummary(images=IMAGES))
    assert "train │ 160 │ 2 │ cat: 40 │ dog: 120" in text
    assert "eval │ 10 │ 2 │ cat: 5 │ cat: 5" in text
    assert "against" not in text


def test_weights_are_advised_where_classes_are_far_from_even():
    assert "3.0 times as many training images" in shown(DataSummary(images=IMAGES, imbalance=3.0))
    assert "times as many" not in shown(DataSummary(images=IMAGES, imbalance=1.5))


def test_what_has_changed_and_what_is_out_of_order_is_told():
    text = shown(DataSummary(drift=0.25, anomalies=["new class 'fox', against the run before"]))
    assert "changed by up to 25.0 points since the last run" in text
    assert "anomaly: new class 'fox'" in text


def test_what_was_left_out_is_counted_by_kind():
    text = shown(DataSummary(left_out={".heic": 40, ".jpg in nested folders": 20}, others={".txt": 1}))
    assert "skipped: 60 images (40 .heic, 20 .jpg in nested folders); skipped.jsonl lists them" in text
    assert "ignored: 1 file (1 .txt) that are not images" in text
    assert "left out" not in shown(DataSummary(images=IMAGES))


def test_a_run_of_which_nothing_was_noted_shows_nothing():
    console = Console(file=io.StringIO())
    console.print(render_summary({}))
    assert not console.file.getvalue().strip()
