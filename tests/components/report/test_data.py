from __future__ import annotations

import dataclasses

from components.report.data import DATA_FILE, ComparedPredictions, NodeStep, ReportData
from components.report.page import render_page


def test_what_is_written_is_read(report_data, tmp_path):
    report_data.write(tmp_path)
    assert ReportData.read(tmp_path) == report_data


def test_no_credential_is_in_the_data_or_shown(report_data, tmp_path):
    url = "https://me:hunter2@host/root?X-Goog-Signature=hunter2&x=1"
    data = dataclasses.replace(
        report_data,
        config={**report_data.config, "output": url, "beam_pipeline_args": [f"--temp={url}"]},
        artifacts={"examples": url},
        steps=[NodeStep("Pusher", "done", 1.0, {"model": url}, {"pushed_model": url})],
    )
    data.write(tmp_path)
    assert "output: https://me:***@host/root?X-Goog-Signature=***&amp;x=1" in (page := render_page(data))
    assert "hunter2" not in page
    assert "hunter2" not in (tmp_path / DATA_FILE).read_text()


def test_it_grows_with_the_classes_not_with_their_square(report_data, tmp_path):
    predictions = ComparedPredictions(
        [f"class {n}" for n in range(2000)], [{n: 1} for n in range(2000)], [{0: 1}] * 2000
    )
    dataclasses.replace(report_data, predictions=predictions).write(tmp_path)
    assert (tmp_path / DATA_FILE).stat().st_size < 200_000
