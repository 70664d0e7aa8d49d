from __future__ import annotations

import dataclasses

from components.report.charts import charts


def test_finalists_begin_with_their_trials(report_data):
    (spec,) = (spec for name, spec in charts(report_data) if name == "finalists")
    found = spec["data"]["values"]
    assert [point["accuracy"] for point in found if point["place"] == "winner"] == [0.9, 0.88, 0.9, 0.93]
    assert len(found) == 3 * 4
    without = dataclasses.replace(report_data, finalists=[])
    assert "finalists" not in dict(charts(without))
