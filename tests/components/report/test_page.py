from __future__ import annotations

import dataclasses
import json
import re

import pytest

from components.report.charts import MOST_CLASSES
from components.report.data import Answers, Verdict
from components.report.page import render_page


@pytest.fixture(scope="module")
def page(report_data) -> str:
    return render_page(report_data)


@pytest.mark.slow
def test_it_asks_for_nothing(page):
    vega = max(re.findall(r"<script>(.*?)</script>", page, re.DOTALL), key=len)
    rest = page.replace(vega, "")
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"|url\(|@import', rest) == []


def test_charts_are_specifications_and_pictures(page):
    specs = json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, re.DOTALL)[1])
    shown = re.findall(r'data-chart="([\w-]+)"', page)
    assert sorted(shown) == sorted(specs)
    assert page.count("<noscript><svg") == len(specs)


def test_thousands_of_classes_leave_it_small(report_data, page):
    names = [f"class {number:04}" for number in range(2000)]
    answers = Answers(names, [{n: 1} for n in range(2000)], [{n: 1} if n % 3 else {0: 1} for n in range(2000)], {})
    pictures = {split: {name: 1 + n for n, name in enumerate(names)} for split in ("train", "test")}
    data = dataclasses.replace(
        report_data, answers=answers, data=dataclasses.replace(report_data.data, pictures=pictures)
    )

    found = render_page(data)

    assert len(found) < len(page) + 600_000
    assert re.findall(r'<th scope="row">(class \d+)</th>', found) == names[:MOST_CLASSES]
    assert f"Of 2,000 classes, the {MOST_CLASSES} whose accuracy changes most; report.json has all." in found


def test_it_tells_of_duplicates_where_there_are_any(report_data, page):
    assert "3 pictures are copies of others, pixel by pixel; 1 left out, being in another split too." in page
    none = dataclasses.replace(report_data, data=dataclasses.replace(report_data.data, duplicates=None))
    assert "pixel by pixel" not in render_page(none)


def test_it_counts_what_was_left_out_by_kind(report_data, page):
    assert "Images left out" not in page
    data = dataclasses.replace(
        report_data.data, left_out={".heic": 40, ".jpg in nested folders": 1200}, others={".txt": 3}
    )
    page = render_page(dataclasses.replace(report_data, data=data))
    assert "Images left out, by kind: 40 .heic, 1,200 .jpg in nested folders." in page
    assert "Files that are no images: 3 .txt." in page


def test_text_is_escaped(page):
    assert "shirt &amp; tie" in page
    assert "<td>PruningSearch</td>" in page


def test_it_says_why_a_model_did_not_pass(report_data):
    reasons = ["accuracy is 50.00%; gate.min_accuracy asks for 90.00%"]
    page = render_page(dataclasses.replace(report_data, verdict=Verdict(False, reasons, None)))
    assert "Not passed" in page
    assert reasons[0] in page
    assert "Nothing was pushed." in page


def test_without_steps_there_is_no_table_of_nodes(report_data):
    assert "<h3>Nodes</h3>" not in render_page(dataclasses.replace(report_data, steps=[]))
