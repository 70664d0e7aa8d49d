from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys

import jinja2
import pytest

from components.report.data import ComparedPredictions, DeviceLatency, ReportData, read_reports, write_reports
from components.report.page import render_family, render_page, write_page
from components.report.vega import MOST_CLASSES
from compressor_lib.deployment.intervals import Interval


@pytest.fixture(scope="module")
def page(report_data) -> str:
    return render_page(report_data)


@pytest.mark.slow
def test_page_loads_nothing_from_elsewhere(page):
    vega = max(re.findall(r"<script>(.*?)</script>", page, re.DOTALL), key=len)
    rest = page.replace(vega, "")
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"|url\(|@import', rest) == []


@pytest.mark.slow
def test_the_page_is_made_without_tensorflow():
    """So that `compressor report` takes no half minute."""
    made = "import sys, components.report.page; print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", made], capture_output=True, text=True, check=True).stdout == "False\n"


def test_charts_are_specifications_and_images(page):
    specs = json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, re.DOTALL)[1])
    shown = re.findall(r'data-chart="([\w-]+)"', page)
    assert sorted(shown) == sorted(specs)
    assert page.count("<noscript><svg") == len(specs)


def test_finalists_are_listed_where_there_are_any(report_data, page):
    assert "each retrained for 3 epochs on all layers" in page
    assert "56 of 60, 84.1 to 97.4 %" in page[page.index("Finalists</h3>") : page.index("All trials</h3>")]
    assert "Finalists" not in render_page(dataclasses.replace(report_data, finalists=[]))


def test_page_of_thousands_of_classes_is_small(report_data, page):
    names = [f"class {number:04}" for number in range(2000)]
    predictions = ComparedPredictions(
        names, [{n: 1} for n in range(2000)], [{n: 1} if n % 3 else {0: 1} for n in range(2000)]
    )
    images = {split: {name: 1 + n for n, name in enumerate(names)} for split in report_data.data.totals}
    data = dataclasses.replace(
        report_data, predictions=predictions, data=dataclasses.replace(report_data.data, images=images)
    )

    found = render_page(data)

    assert len(found) < len(page) + 600_000
    assert re.findall(r'<th scope="row">(class \d+)</th>', found) == names[:MOST_CLASSES]
    assert f"Of 2,000 classes, the {MOST_CLASSES} whose accuracy changes most; report.json has all." in found


def table_of_images(data: ReportData) -> list[str]:
    """The classes in the first column."""
    (table,) = re.findall(r'aria-label="Images by class and split".*?</table>', render_page(data), re.DOTALL)
    return re.findall(r'<th scope="row">(.*?)</th>', table)[:-1]


def test_images_are_counted_in_the_order_of_the_models_outputs(report_data):
    """A class that was added later is the last one; one that the model does not have follows."""
    predictions = ComparedPredictions(["hat", "shirt", "apron", "gone"], [{}] * 4, [{}] * 4)
    images = {"train": {"apron": 3, "hat": 5, "shirt": 4}, "eval": {}, "test": {"zebra": 1, "hat": 2}}
    data = dataclasses.replace(report_data.data, images=images)
    shown = table_of_images(dataclasses.replace(report_data, predictions=predictions, data=data))
    assert shown == ["hat", "shirt", "apron", "gone", "zebra"]


def test_duplicates_are_mentioned_if_there_are_any(report_data, page):
    assert "3 images are copies of others, pixel by pixel; 1 left out to keep each image in one split." in page
    none = dataclasses.replace(report_data, data=dataclasses.replace(report_data.data, duplicates=None))
    assert "pixel by pixel" not in render_page(none)


def test_left_out_files_are_counted_by_kind(report_data, page):
    assert "Images left out" not in page
    data = dataclasses.replace(
        report_data.data, left_out={".heic": 40, ".jpg in nested folders": 1200}, others={".txt": 3}
    )
    page = render_page(dataclasses.replace(report_data, data=data))
    assert "Images left out, by kind: 40 .heic, 1,200 .jpg in nested folders." in page
    assert "Files that are not images: 3 .txt." in page


def test_text_is_escaped(page):
    assert "shirt &amp; tie" in page
    assert "<td>PruningSearch</td>" in page


def words(page: str) -> str:
    """What is read on a page before its scripts."""
    return " ".join(
        re.sub(r"<[^>]*>", " ", page[page.index("<body>") : page.index('<script type="application/json"')]).split()
    )


def test_thresholds_are_listed_with_the_measured_values(page):
    text = words(page)
    assert "Should I deploy it? Yes. The model passes the gate on 40 test images" in text
    assert "gate.min_accuracy at least 80.0 % 85.0 % (34 of 40, 70.9 to 92.9 %) met" in text
    assert (
        "gate.max_drop a loss of at most 5 points against the baseline -2.5 points (-16.0 to +10.5), no difference"
        in text
    )
    assert "gate.max_class_drop a loss of at most 20 points in any class class hat: -14.3 points" in text
    assert "class 'scarf' came since the baseline" in text.replace("&#39;", "'")


def test_each_format_has_its_accuracy_and_verdict(page):
    text = words(page)
    assert "float32 85.0&nbsp;% 34 of 40, 70.9 to 92.9 % change by conversion: +0.0 points" in text
    assert "160,000 0.500 ms (0.480 to 0.550) 4.0 times as fast (3.8 to 4.3) passed, pushed" in text
    assert "44,000 1.90 ms (1.70 to 2.30) no difference measured left out accuracy is 70.0 % (28 of 40" in text
    assert "deploy float32, or add training images" in text


def test_insignificant_change_is_no_difference(report_data, page):
    assert "90&nbsp;% smaller, no difference in accuracy measured" in words(page)
    assert "change: -2.5 points (-16.0 to +10.5), no difference measured" in words(page)
    lost = dataclasses.replace(report_data, change=Interval(-0.1, -0.2, -0.05))
    assert "smaller, \N{MINUS SIGN}10.0 points of accuracy" in words(render_page(lost))
    assert "Accuracy kept" not in page


def test_failed_model_has_reasons_and_advice(refused):
    text = words(render_page(refused))
    assert "No. The model fails the gate" in text
    assert all(jinja2.filters.escape(reason) in text for reason in refused.verdict.reasons)
    assert "What to do The reference model itself reaches 87.5 %" in text
    assert "gate.min_accuracy at least 90.0 % 85.0 % (34 of 40, 70.9 to 92.9 %) not met" in text
    assert "Nothing was pushed" in text
    assert "tf.saved_model.load(&#39;/root/retrain/model/7/Format-Serving&#39;)" in text
    assert "tensorflow_model_server" not in text


def test_examples_are_named_with_their_probabilities(page):
    text = words(page)
    assert "Wrong, most confident first dress 97&nbsp;% actually hat, 12&nbsp;%; the reference model is correct" in text
    assert "hat 81&nbsp;% actually shirt &amp; tie, 25&nbsp;%; the reference model is wrong too" in text
    assert "Correct, least confident first dress 41&nbsp;% hat 52&nbsp;%" in text
    assert page.count('<img src="data:image/jpeg;base64,') == 6


def test_neighbouring_card_is_linked(report_data, tmp_path):
    pushed = tmp_path / "serving #1" / "7"
    beside = dataclasses.replace(report_data, pushed_to=str(pushed))
    page = write_page({"": beside}, tmp_path).read_text()
    assert '<a href="serving%20%231/7/assets.extra/model_card.md">model card</a>' in page
    (tmp_path / "elsewhere").mkdir()
    assert (
        f"<code>{pushed}/assets.extra/model_card.md</code>"
        in write_page({"": beside}, tmp_path / "elsewhere").read_text()
    )
    far = dataclasses.replace(report_data, pushed_to="gs://bucket/serving/7")
    assert (
        "<code>gs://bucket/serving/7/assets.extra/model_card.md</code>" in write_page({"": far}, tmp_path).read_text()
    )


def test_an_endpoint_has_no_card_and_no_folder(report_data):
    page = render_page(dataclasses.replace(report_data, pushed_to="projects/mine/endpoints/1"))
    assert "model_card.md" not in page
    assert "/root/retrain/model/7/Format-Serving" in page


def rows(html: str, label: str) -> list[list[str]]:
    """The cells of a table, as text."""
    (table,) = re.findall(rf'aria-label="{label}".*?</table>', html, re.DOTALL)
    return [
        [re.sub(r"<.*?>", "", cell).strip() for cell in re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL)]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", table, re.DOTALL)[1:]
    ]


def test_the_best_of_each_backbone_and_image_size_are_listed(report_data, page):
    best = rows(page, "Best of each backbone and image size")
    first_at_96 = next(place for place, trial in enumerate(report_data.trials) if trial.input_size == 96)
    assert [row[:3] for row in best] == [
        [str(place + 1), trial.network, trial.connection.replace(">", "&gt;")]
        for place, trial in ((0, report_data.trials[0]), (first_at_96, report_data.trials[first_at_96]))
    ]
    for row, trial in zip(rows(page, "Trials"), report_data.trials, strict=True):
        assert row[1].endswith(trial.network)


def test_networks_are_not_named_where_there_was_no_choice(report_data):
    trials = [dataclasses.replace(trial, input_size=224) for trial in report_data.trials]
    html = render_page(dataclasses.replace(report_data, trials=trials))
    assert "Best of each" not in html
    assert rows(html, "Trials")[0][1] == trials[0].connection.replace(">", "&gt;")


def test_the_accuracies_of_trials_have_their_counts(report_data, page):
    assert "90.0&nbsp;% 54 of 60, 79.9 to 95.3 % 60,000" in words(page)
    assert "60 images of the eval split" in words(page)
    unknown = dataclasses.replace(
        report_data, data=dataclasses.replace(report_data.data, totals={"test": 40}, images={"test": {}})
    )
    assert "54 of 60" not in render_page(unknown)


def test_latency_caption_says_how_it_was_measured(report_data, page):
    assert "Trials were timed next to the reference" in page
    searched = dataclasses.replace(report_data, config={"seed": 3, "search": {"objective": {"cost": "latency"}}})
    assert "Trials are shown as measured during the search" in render_page(searched)


def test_latencies_of_a_table_are_said_to_be_the_tables(report_data, page):
    assert "phone.csv" not in page
    device = DeviceLatency("the latency table phone.csv (int8)", 30.0, 7.25)
    shown = render_page(dataclasses.replace(report_data, device=device))
    assert "By the latency table phone.csv (int8): 30 → 7.25 ms" in shown
    assert "All latencies are those of the latency table phone.csv (int8), not of the machine that ran" in shown


def test_what_each_choice_gave_is_a_table(report_data, page):
    assert "What each choice gave" in page
    assert "image size alone" in page
    alone = dataclasses.replace(report_data, trials=report_data.trials[:1])
    assert "What each choice gave" not in render_page(alone)


@pytest.mark.parametrize(("formats", "shown"), [(["float32"], "2"), (["int8"], "")])
def test_the_cost_that_was_saved_is_in_the_table_of_choices(report_data, formats, shown):
    config = {"seed": 3, "search": {"objective": {"cost": "latency"}}, "export": {"formats": formats}}
    page = render_page(dataclasses.replace(report_data, config=config))
    latencies = re.findall(r'<td class="n" data-label="Latency, ms">(.*?)</td>', page)
    assert latencies[0] == shown  # the reference's is of its float32 file
    assert latencies[-1] == "0.3"


def test_without_steps_there_is_no_table_of_nodes(report_data):
    assert "<h3>Nodes</h3>" not in render_page(dataclasses.replace(report_data, steps=[]))


def without(data: ReportData, *, reference: bool, **not_converted: str) -> ReportData:
    """The same run, had some formats not converted."""
    verdict = dataclasses.replace(
        data.verdict,
        formats={name: one for name, one in data.verdict.formats.items() if name not in not_converted},
        not_converted=not_converted,
    )
    formats = {name: one for name, one in data.formats.items() if name not in not_converted}
    before, after = data.reference, data.compressed
    if reference:
        before = dataclasses.replace(before, bytes=None, latency=None)
        formats = {name: dataclasses.replace(one, speedup=None) for name, one in formats.items()}
    if "float32" in not_converted:
        after = dataclasses.replace(after, bytes=None, latency=None)
    return dataclasses.replace(data, verdict=verdict, formats=formats, reference=before, compressed=after)


def test_a_format_that_does_not_convert_is_left_out_with_its_reason(report_data):
    page = render_page(without(report_data, reference=False, int8="it does not convert to TFLite (no <kernel>)"))
    (row,) = re.findall(r'<tr><th scope="row">int8</th>.*?</tr>', page, re.DOTALL)
    assert "left out <small>it does not convert to TFLite (no &lt;kernel&gt;)</small>" in row
    assert "model_int8.tflite" not in page


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("formats", [["float32"], ["float32", "int8"], []])
def test_page_is_made_without_tflite_models(report_data, formats, reference):
    page = render_page(without(report_data, reference=reference, **dict.fromkeys(formats, "it does not convert")))
    assert ("Not compared" in page) == (reference or bool(formats))
    assert ("as TFLite, float32" in page) == (not reference and not formats)
    assert page.count("left out <small>it does not convert</small>") == len(formats)


def test_code_uses_pushed_files_only(report_data):
    failing = {name: dataclasses.replace(one, reasons=["too bad"]) for name, one in report_data.verdict.formats.items()}
    data = dataclasses.replace(report_data, verdict=dataclasses.replace(report_data.verdict, formats=failing))
    assert "model.tflite" not in render_page(data)
    assert "model.tflite" in render_page(dataclasses.replace(data, pushed_to=None))


class TestFamily:
    @pytest.fixture
    def family(self, report_data) -> dict[str, ReportData]:
        budgets = {"tiny": {"memory_kb": 256.0, "macs": None}, "small": {"memory_kb": None, "macs": 50_000_000}}
        config = {**report_data.config, "search": {**report_data.config.get("search", {}), "budgets": budgets}}
        refused = dataclasses.replace(report_data.verdict, reasons=["it is too wrong"])
        tiny = dataclasses.replace(
            report_data, config=config, member="tiny", verdict=refused, pushed_to=None,
            artifacts={**report_data.artifacts, "compressed": "/runs/Converter-tiny/model/1"},
        )  # fmt: skip
        return {"tiny": tiny, "small": dataclasses.replace(report_data, config=config, member="small")}

    def test_a_table_of_all_models_comes_first(self, family):
        page = render_family(family)
        assert page.index('id="family"') < page.index('id="model-tiny"') < page.index('id="model-small"')
        (table,) = re.findall(r'aria-label="The family".*?</table>', page, re.DOTALL)
        assert "memory_kb 256" in table
        assert "macs 50,000,000" in table
        assert "not passed" in table
        assert "1 of 2 passed" in page

    def test_each_model_has_its_own_sections_and_the_run_is_shown_once(self, family):
        page = render_family(family)
        ids = re.findall(r' id="([^"]+)"', page)
        assert len(ids) == len(set(ids))
        assert {"model-tiny-deploy", "model-small-deploy", "model-tiny-trials", "data", "run"} <= set(ids)
        links = re.findall(r'href="#([^"]+)"', page)
        assert {"model-tiny-deploy", "model-small-training"} <= set(links) <= {*ids, "content"}
        assert "--model_name=made-up-small" in page  # the other was not pushed
        assert "it is too wrong" in page
        specs = json.loads(re.findall(r'id="charts">(.*?)</script>', page, re.DOTALL)[0].replace("<\\/", "</"))
        drawn = set(re.findall(r'data-chart="([^"]+)"', page))
        assert drawn == set(specs)
        assert "compressed of tiny" in page

    def test_latencies_of_a_table_are_beside_the_measured_ones(self, family):
        assert "phone.csv" not in render_family(family)
        of_each = {"tiny": 7.25, "small": 11.5}
        family = {
            name: dataclasses.replace(
                data, device=DeviceLatency("the latency table phone.csv (int8)", 30, of_each[name])
            )
            for name, data in family.items()
        }
        page = render_family(family)
        (table,) = re.findall(r'aria-label="The family".*?</table>', page, re.DOTALL)
        assert re.findall(r"<small>([\d.]+) ms</small>", table) == ["30", "7.25", "11.5"]
        assert "below them are those of the latency table phone.csv (int8)" in page

    def test_what_each_choice_gave_is_shown_for_each_model(self, family):
        assert render_family(family).count("<h3>What each choice gave</h3>") == len(family)

    def test_the_data_is_read_as_it_was_written(self, family, report_data, tmp_path):
        write_reports(family, tmp_path)
        assert read_reports(tmp_path) == family
        write_reports({"": report_data}, tmp_path)
        assert read_reports(tmp_path) == {"": report_data}
        assert "The family" not in write_page({"": report_data}, tmp_path).read_text()
