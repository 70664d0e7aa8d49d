"""The card of a pushed model: its task, accuracy, compression, gate and limits.

After Mitchell et al., Model Cards for Model Reporting (2019), https://arxiv.org/abs/1810.03993.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence, Sized
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.dsl.io import fileio

from components.artifacts.card import CARD_FILE
from components.artifacts.class_counts import class_counts
from components.artifacts.device_latencies import DeviceLatencies
from components.artifacts.thresholds import threshold_rows
from compressor_lib.deployment import phrases
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.export import read_classes, tflite_paths
from compressor_lib.deployment.gate import Verdict
from compressor_lib.deployment.intervals import Interval
from compressor_lib.deployment.model_metrics import EXTRA, INT8, REFERENCE, Latency, Speedup, read_figures

MOST_CLASSES = 24
"""Maximum number of classes on the human-readable card; the JSON card has all classes."""

FEW = 30
"""Classes with fewer test images than this are listed among the limits."""

_MOST_NAMED = 10
"""Maximum number of classes listed in one limit."""

Json = dict[str, Any]


def write_card(model: str, card: Json) -> None:
    """Writes a card, as Markdown and as JSON, to a model's local folder."""
    folder = Path(model, EXTRA)
    (folder / f"{CARD_FILE}.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    (folder / f"{CARD_FILE}.md").write_text(markdown(card), encoding="utf-8")


def model_card(
    model: str,
    *,
    reference: str,
    verdict: Verdict,
    trials: list[Json],
    data: Json,
    name: str,
    device: DeviceLatencies | None = None,
) -> Json:
    """Builds a card from the results of a run, without measuring anything.

    Args:
        model: Local folder of the compressed model, from the Converter, without the formats that are left out.
        reference: Local folder of the uncompressed model.
        verdict: The gate's verdict.
        trials: The search's report, the winner first.
        data: Counts from :func:`images_by_split`.
        name: Name of the pipeline.
        device: Latencies from the table of a device; None if the search measured latencies itself.
    """
    metrics, whole = read_figures(model), read_figures(reference)
    classes = read_classes(model)
    winner = trials[0]
    return {
        "name": name,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "task": f"image classification: which of {len(classes)} classes an image shows",
        "classes": classes,
        "data": data,
        "accuracy": _dumped(verdict.overall),
        "accuracy_by_class": [_dumped(one) for one in verdict.classes],
        "parameters": metrics.parameters,
        "memory": metrics.memory.get(INT8),
        "input_size": metrics.input_size,
        "reference": {
            "parameters": whole.parameters,
            "input_size": whole.input_size,
            "bytes": metrics.bytes.get(REFERENCE),
            "memory": metrics.memory.get(REFERENCE),
            "latency": _fields(metrics.latency.get(REFERENCE)),
        },
        "tflite": {
            precision: {
                "bytes": metrics.bytes[precision],
                "latency": vars(metrics.latency[precision]),
                "speedup": _fields(metrics.speedup.get(precision)),
                "accuracy": _dumped(verdict.formats[precision].overall) if precision in verdict.formats else None,
            }
            for precision in tflite_paths(model)
        },
        "device": None
        if device is None
        else {
            "source": device.in_words(),
            "reference": device.reference,
            "compressed": device.trials[winner["trial_id"]],
        },
        "left_out": verdict.left_out,
        "cut": {name: winner[name] for name in ("backbone", "connection", "hyperparameters")},
        "gate": {**vars(verdict.thresholds), "confidence_shown": verdict.confidence_shown},
        "thresholds": [vars(one) for one in threshold_rows(verdict)],
        "notes": verdict.notes,
        "limits": list(_limits(verdict, classes)),
        "model_sha256": verdict.model_sha256,
        "tensorflow": tf.__version__,
    }


def images_by_split(statistics: str, label: str, classes: Sequence[str]) -> Json:
    """Counts the images of each split, and of each class in it.

    Args:
        statistics: URI of the statistics from StatisticsGen.
        label: Feature with the class name.
        classes: Classes of the model, in the order of its outputs. The counts have the same order.
    """
    found = {}
    for folder in sorted(name.rstrip("/") for name in fileio.listdir(statistics)):
        path = os.path.join(statistics, folder, "FeatureStats.pb")
        if not folder.startswith("Split-") or not fileio.exists(path):
            continue
        with fileio.open(path, "rb") as file:
            counted = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read())
        found[folder.removeprefix("Split-")] = {
            "images": counted.datasets[0].num_examples,
            "classes": class_counts(counted, label, classes),
        }
    return found


def markdown(card: Json) -> str:
    """Returns the card as Markdown."""
    return "\n".join([*_lines(card), ""])


def _lines(card: Json) -> Iterator[str]:
    reference, gate = card["reference"], card["gate"]
    yield f"# {card['name']}"
    yield ""
    yield f"Made {card['created']} by auto-compressor, with TensorFlow {card['tensorflow']}."
    names = card["classes"]
    yield from _section("Task", f"{card['task'].capitalize()}: {', '.join(names[:MOST_CLASSES])}{_more(names)}.")
    yield from _section("Data", *_table(("split", "images"), _data_rows(card["data"])))
    overall = _result(card["accuracy"])
    yield from _section(
        "Accuracy",
        f"On {overall.images:,} test images, which neither training nor the search has used: "
        f"**{phrases.accuracy(overall)}**"
        + (f", {phrases.compared(overall.change)} against the gate's baseline." if overall.change else "."),
        f"Intervals have {phrases.percent(gate['confidence_shown'], decimals=None)} confidence.",
        "",
        *_table(("class", "test images", "accuracy", "change against the baseline"), _class_rows(card)),
        *_all_are_elsewhere(card["accuracy_by_class"]),
        *(f"- {note}" for note in card["notes"]),
    )
    latency = Latency(**reference["latency"]) if reference["latency"] else None
    saved = phrases.percent(1 - card["parameters"] / reference["parameters"])
    yield from _section(
        "Size and time",
        f"{card['parameters']:,} parameters, {saved} fewer than the "
        f"{reference['parameters']:,} of the uncompressed reference model.{_image_sizes(card)} "
        "Latencies are medians per image with "
        "confidence intervals, measured with TFLite on one thread of the machine that converted the model.",
        *_memory_lines(card["memory"], reference["memory"]),
        *_device_lines(card["device"]),
        "",
        *_table(
            ("TFLite", "bytes", "latency", "speed", "accuracy"),
            [
                *_format_rows(card["tflite"]),
                ("reference, float32", phrases.size(reference["bytes"]), phrases.milliseconds(latency), "", ""),
            ],
        ),
        *([""] if card["left_out"] else []),
        *(f"- {name} is left out: {'; '.join(reasons)}." for name, reasons in card["left_out"].items()),
    )
    cut = card["cut"]
    yield from _section(
        "What was cut",
        f"`{cut['connection']}` of {cut['backbone']}: the layers between were removed.",
        "",
        *_table(("hyperparameter", "value"), ((name, str(v)) for name, v in cut["hyperparameters"].items())),
    )
    yield from _section("Gate", *_gate_lines(card))
    yield from _section("Limits", *(f"- {limit}" for limit in card["limits"]))
    yield ""
    yield f"SHA-256 of the model's files as evaluated: `{card['model_sha256']}`."


def _image_sizes(card: Json) -> str:
    """Returns a sentence on the size of the images that the model takes; empty if it is unknown."""
    own, reference = card["input_size"], card["reference"]["input_size"]
    if own is None:
        return ""
    compared = f"; the reference model's images are of {phrases.side(reference)}" if own != reference else ""
    return f" It takes images of {own} x {own} pixels and resizes others itself{compared}."


def _gate_lines(card: Json) -> Iterator[str]:
    gate = card["gate"]
    decides = "the lower end of each interval" if gate["confidence"] else "the measured values"
    yield f"It met these thresholds on the test images, judged by {decides}:"
    yield ""
    yield from _table(
        ("threshold", "required", "measured"),
        ((f"`{one['field']}`", one["asked"], one["measured"]) for one in card["thresholds"]),
    )


def _class_rows(card: Json) -> Iterator[tuple[str, ...]]:
    for one in map(_result, _least_accurate(card["accuracy_by_class"])):
        change = phrases.compared(one.change) if one.change else ""
        yield one.name, f"{one.images:,}", phrases.accuracy(one), change


def _format_rows(formats: Json) -> Iterator[tuple[str, ...]]:
    for name, one in formats.items():
        accuracy = phrases.accuracy(_result(one["accuracy"])) if one["accuracy"] else "not judged"
        speedup = Speedup(**one["speedup"]) if one["speedup"] else None
        latency = phrases.milliseconds(Latency(**one["latency"]))
        yield name, phrases.size(one["bytes"]), latency, phrases.speed(speedup), accuracy


def _device_lines(device: Json | None) -> Iterator[str]:
    if device is not None:
        yield (
            f"The search took its latencies from {device['source']}, not from a measurement of its own: "
            f"{device['compressed']:.3g} ms for this network, {device['reference']:.3g} ms for the reference model."
        )


def _memory_lines(memory: int | None, reference: int | None) -> Iterator[str]:
    if memory is not None:
        compared = f" (reference model: {phrases.memory(reference)})" if reference is not None else ""
        yield ""
        yield (
            f"In int8, its activations need {phrases.memory(memory)} of memory at their peak{compared}, which a "
            "microcontroller must have free in RAM."
        )


def _limits(verdict: Verdict, classes: Sequence[str]) -> Iterator[str]:
    yield "It predicts one of its classes for every image, even if the image shows none of them."
    yield ("Its accuracy holds for images like the test images; with other cameras, places or times it may differ.")
    yield "Accuracies by class are the SavedModel's; the gate judged each TFLite model separately."
    tested = {one.name for one in verdict.classes}
    if untested := [name for name in classes if name not in tested]:
        yield f"The accuracy is unknown for classes without test images: {_some(untested)}."
    if few := [f"{one.name} ({one.images})" for one in verdict.classes if one.images < FEW]:
        yield f"The accuracy is uncertain for classes with fewer than {FEW} test images: {_some(few)}."
    if verdict.thresholds.confidence is None:
        yield "The gate required no confidence: on other images the model may miss the thresholds."


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _dumped(result: EvalResult) -> Json:
    fields: Json = {"name": result.name, "images": result.images, "right": result.right}
    for name in ("accuracy", "baseline", "change"):
        figure: Interval | None = getattr(result, name)
        fields[name] = vars(figure) if figure else None
    return fields


def _fields(measured: Latency | Speedup | None) -> Json | None:
    return vars(measured) if measured else None


def _result(fields: Json) -> EvalResult:
    """Reads a result written by :func:`_dumped`."""
    accuracy, baseline, change = (
        Interval(**fields[name]) if fields[name] else None for name in ("accuracy", "baseline", "change")
    )
    assert accuracy is not None
    return EvalResult(fields["name"], fields["images"], fields["right"], accuracy, baseline, change)


def _data_rows(data: Json) -> Iterator[tuple[str, ...]]:
    for split, counted in data.items():
        classes = ", ".join(f"{name} {count:,}" for name, count in [*counted["classes"].items()][:MOST_CLASSES])
        classes += _more(counted["classes"])
        yield split, f"{counted['images']:,}" + (f": {classes}" if classes else "")


def _more(classes: Sized) -> str:
    """Returns the number of classes that are not listed, as text."""
    return f" and {len(classes) - MOST_CLASSES:,} more" if len(classes) > MOST_CLASSES else ""


def _least_accurate(classes: list[Json]) -> list[Json]:
    """Returns all classes, or the least accurate ones if there are many."""
    if len(classes) <= MOST_CLASSES:
        return classes
    return sorted(classes, key=lambda one: one["accuracy"]["value"])[:MOST_CLASSES]


def _all_are_elsewhere(classes: list[Json]) -> Iterator[str]:
    if len(classes) > MOST_CLASSES:
        yield ""
        yield f"These are the {MOST_CLASSES} least accurate of {len(classes):,} classes; `{CARD_FILE}.json` has all."


def _section(title: str, *lines: str) -> Iterator[str]:
    yield from ("", f"## {title}", "", *lines)


def _table(columns: tuple[str, ...], rows: Any) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
