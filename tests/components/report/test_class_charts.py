from __future__ import annotations

import dataclasses

from components.report.class_charts import by_class, shown_classes
from components.report.data import ComparedPredictions
from components.report.vega import MOST_CLASSES


def test_of_many_classes_those_that_change_most_are_shown(report_data):
    count = 3 * MOST_CLASSES
    before = [{row: 10} for row in range(count)]
    after = [{0: 6, row: 4} if 5 <= row < 5 + MOST_CLASSES else {row: 10} for row in range(count)]
    predictions = ComparedPredictions([f"class {n}" for n in range(count)], before, after)
    data = dataclasses.replace(report_data, predictions=predictions)
    assert shown_classes(data) == list(range(5, 5 + MOST_CLASSES))
    rows = by_class(data)["layer"][0]["data"]["values"]
    assert {(row["reference"], row["compressed"]) for row in rows} == {(1.0, 0.4)}
    assert {(row["reference_counted"], row["compressed_counted"]) for row in rows} == {
        ("10 of 10, 72.2 to 100.0 %", "4 of 10, 16.8 to 68.7 %"),
    }  # fmt: skip
