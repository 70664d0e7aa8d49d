from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from made_up_report import judged
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.artifacts.device_latencies import DeviceLatencies
from components.pusher.model_card import MOST_CLASSES, images_by_split, markdown, model_card
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.gate import Thresholds, Verdict, judge, judge_format
from compressor_lib.deployment.model_metrics import EXTRA, Latency, ModelMetrics, Speedup, read_figures, write_figures

BOUNDS = Thresholds(min_accuracy=0.8, max_drop=0.05)
OVERALL = judged("", 57, 2, 1, 0)
FORMATS = {
    "float32": judge_format(BOUNDS, OVERALL, []),
    "float16": judge_format(BOUNDS, judged("", 56, 2, 2, 0), []),
    "int8": judge_format(BOUNDS, judged("", 30, 0, 28, 2), []),
}


@pytest.fixture
def folders(tmp_path) -> tuple[str, str]:
    """An exported model, from which int8 was left out, and the reference."""
    latency = {
        "reference": Latency(4.0, 3.5, 4.5),
        "float32": Latency(2.0, 1.8, 2.5),
        "float16": Latency(3.9, 3.0, 5.0),
    }
    speedup = {"float32": Speedup(2.0, 1.6, 2.4), "float16": Speedup(1.03, 0.8, 1.3)}
    sizes = {"reference": 4_000, "float32": 1_000, "float16": 500}
    for name, metrics in (
        ("model", ModelMetrics(250, latency, speedup, sizes, input_size=96)),
        ("reference", ModelMetrics(1000, input_size=224)),
    ):
        extra = tmp_path / name / EXTRA
        extra.mkdir(parents=True)
        write_figures(tmp_path / name, metrics)
        (extra / "classes.txt").write_text("hat\nshirt\n")
    for file in ("model.tflite", "model_float16.tflite"):
        (tmp_path / "model" / EXTRA / file).write_bytes(b"")
    return str(tmp_path / "model"), str(tmp_path / "reference")


def card(folders: tuple[str, str], verdict: Verdict, device: DeviceLatencies | None = None) -> str:
    model, reference = folders
    return markdown(
        model_card(
            model,
            reference=reference,
            verdict=verdict,
            device=device,
            trials=[{"trial_id": "7", "backbone": "MobileNetV2", "connection": "a->head", "hyperparameters": {}}],
            data={},
            name="made-up",
        )
    )


@pytest.fixture
def lines(folders) -> list[str]:
    classes = [judged("hat", 28, 1, 1, 0), judged("shirt", 29, 1, 0, 0)]
    return card(folders, judge(BOUNDS, OVERALL, classes, "5ha256", formats=FORMATS, notes=["scarf came."])).splitlines()


def test_accuracies_have_counts_and_intervals(lines):
    text = "\n".join(lines)
    assert "**98.3 % (59 of 60, 91.1 to 99.7 %)**, +1.7 points" in text
    assert "no difference measured against the gate's baseline." in text
    assert "Intervals have 95 % confidence." in text
    assert "| hat | 30 | 96.7 % (29 of 30, 83.3 to 99.4 %) |" in text
    assert "- scarf came." in lines


def test_formats_have_latencies_and_accuracies(lines):
    (float32,) = [line for line in lines if line.startswith("| float32")]
    assert float32 == (
        "| float32 | 1,000 | 2.00 ms (1.80 to 2.50) | 2.0 times as fast (1.6 to 2.4) | "
        "98.3 % (59 of 60, 91.1 to 99.7 %) |"
    )
    (float16,) = [line for line in lines if line.startswith("| float16")]
    assert "| 3.90 ms (3.00 to 5.00) | no difference measured | 96.7 % (58 of 60," in float16
    assert "| reference, float32 | 4,000 | 4.00 ms (3.50 to 4.50) |  |  |" in lines
    (left_out,) = [line for line in lines if "int8" in line]
    assert left_out.startswith("- int8 is left out: accuracy is 50.0 % (30 of 60,")


def test_memory_is_told_beside_the_references(folders, lines):
    assert not any("RAM" in line for line in lines)
    metrics = read_figures(folders[0])
    write_figures(folders[0], dataclasses.replace(metrics, memory={"int8": 2048, "reference": 245_760}))
    text = card(folders, judge(BOUNDS, OVERALL, [], ""))
    assert "its activations need 2 KiB of memory at their peak (reference model: 240 KiB)" in text


def test_latencies_of_a_devices_table_are_given_with_its_name(folders):
    device = DeviceLatencies("phone.csv", "int8", 12.25, {"7": 4.5})
    text = card(folders, judge(BOUNDS, OVERALL, [], "5ha256", formats=FORMATS), device)
    assert (
        "The search took its latencies from the latency table phone.csv (int8), not from a measurement of its own: "
        "4.5 ms for this network, 12.2 ms for the reference model."
    ) in text


def test_the_size_of_the_images_is_given(lines, folders):
    text = "\n".join(lines)
    assert "It takes images of 96 x 96 pixels and resizes others itself; the reference model's images are of" in text
    write_figures(folders[1], ModelMetrics(1000, input_size=96))
    assert "and resizes others itself. Latencies" in card(folders, judge(BOUNDS, OVERALL, [], "5ha256"))


def test_thresholds_are_listed_with_the_measured_values(lines):
    assert "It met these thresholds on the test images, judged by the measured values:" in lines
    assert "| `gate.min_accuracy` | at least 80.0 % | 98.3 % (59 of 60, 91.1 to 99.7 %) |" in lines


def test_a_card_without_a_baseline_has_no_change(folders):
    text = card(folders, judge(BOUNDS, EvalResult.from_counts("", images=60, right=59), [], ""))
    assert "**98.3 % (59 of 60, 91.1 to 99.7 %)**." in text
    assert "gate.max_drop" not in text
    assert "not judged" in text


def test_card_of_thousands_of_classes_lists_some(folders):
    names = [f"class {number:04}" for number in range(2000)]
    Path(folders[0], EXTRA, "classes.txt").write_text("".join(f"{name}\n" for name in names))
    classes = [EvalResult.from_counts(name, images=4000, right=4000 - number) for number, name in enumerate(names)]
    text = card(folders, judge(BOUNDS, OVERALL, classes, ""))
    assert len(text) < 10_000
    assert [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| class 1")] == [
        f"| class {number}" for number in range(1999, 1999 - MOST_CLASSES, -1)
    ]
    assert f"class 0023 and {2000 - MOST_CLASSES:,} more." in text
    assert f"These are the {MOST_CLASSES} least accurate of 2,000 classes; `model_card.json` has all." in text


def test_classes_without_test_images_are_among_the_limits(folders):
    text = card(folders, judge(BOUNDS, OVERALL, [judged("hat", 28, 1, 1, 0)], ""))
    assert "- The accuracy is unknown for classes without test images: shirt." in text.splitlines()
    text = card(folders, judge(BOUNDS, OVERALL, [judged("hat", 28, 1, 1, 0), judged("shirt", 28, 1, 1, 0)], ""))
    assert "without test images" not in text


def test_some_of_many_classes_without_test_images_are_listed(folders):
    names = [f"class {number:02}" for number in range(40)]
    Path(folders[0], EXTRA, "classes.txt").write_text("".join(f"{name}\n" for name in names))
    text = card(folders, judge(BOUNDS, OVERALL, [judged("class 00", 28, 1, 1, 0)], ""))
    assert "class 09, class 10 and 29 more." in text


def test_images_are_counted_in_the_order_of_the_models_outputs(tmp_path):
    """A class that was added later is the last output, whatever its name."""
    (tmp_path / "Split-train").mkdir()
    found = statistics_pb2.DatasetFeatureStatisticsList()
    counted = found.datasets.add(num_examples=6)
    label = counted.features.add(path={"step": ["label"]}, string_stats={"common_stats": {"tot_num_values": 6}})
    for name, count in (("apron", 1), ("hat", 2), ("shirt", 3)):
        label.string_stats.rank_histogram.buckets.add(label=name, sample_count=count)
    (tmp_path / "Split-train" / "FeatureStats.pb").write_bytes(found.SerializeToString())
    (split,) = images_by_split(str(tmp_path), "label", ["hat", "shirt", "apron"]).values()
    assert list(split["classes"].items()) == [("hat", 2), ("shirt", 3), ("apron", 1)]


def test_format_that_does_not_convert_is_listed_with_the_reason(folders):
    verdict = judge(BOUNDS, OVERALL, [], "", not_converted={"int8": "it does not convert to TFLite (no kernel)"})
    assert "- int8 is left out: it does not convert to TFLite (no kernel).\n" in card(folders, verdict)


def test_card_without_tflite_models_has_no_sizes(folders):
    for file in Path(folders[0], EXTRA).glob("*.tflite"):
        file.unlink()
    reasons = dict.fromkeys(("float32", "float16"), "it does not convert")
    write_figures(folders[0], ModelMetrics(250, not_converted={**reasons, "reference": "it does not convert"}))
    text = card(folders, judge(BOUNDS, OVERALL, [], "", not_converted=reasons))
    assert "| reference, float32 | not converted | not converted |  |  |" in text
    assert "250 parameters, 75.0 % fewer" in text
    assert "- float16 is left out: it does not convert." in text


def test_a_format_without_a_reference_to_compare_with_says_so(folders):
    model, _ = folders
    latency = {"float32": Latency(2.0, 1.8, 2.5), "float16": Latency(3.9, 3.0, 5.0)}
    write_figures(model, ModelMetrics(250, latency, {}, {"float32": 1_000, "float16": 500}, {"reference": "no"}))
    assert "| float32 | 1,000 | 2.00 ms (1.80 to 2.50) | not compared |" in card(
        folders, judge(BOUNDS, OVERALL, [], "")
    )
