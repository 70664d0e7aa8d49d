"""A report with made-up figures, in which no section is empty."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
from PIL import Image

from components.report.advice import advice
from components.report.data import (
    Block,
    ComparedPredictions,
    ExampleImage,
    Finalist,
    NodeStep,
    ReportData,
    RunData,
    Trial,
)
from compressor_lib.cuts.connections import Connection
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.figures import FormatFigures, ModelFigures
from compressor_lib.deployment.gate import Thresholds, Verdict, judge, judge_format
from compressor_lib.deployment.intervals import PairedCounts
from compressor_lib.deployment.model_metrics import Latency, Speedup

CLASSES = ["dress", "hat", "shirt & tie"]


def jpeg(colour: tuple[int, int, int]) -> str:
    file = io.BytesIO()
    Image.new("RGB", (32, 24), colour).save(file, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def trial(number: int) -> Trial:
    a = f"block_{number % 12 + 1}_add"
    connection = (Connection.tail(a), Connection.head(a), Connection.rejoin(a, "Conv_1"))[number % 3]
    parameters = 60_000 * (number % 12 + 1) + 500 * number
    costs = {"parameters": float(parameters), "macs": 150.0 * parameters}
    if number < 4:
        costs |= {"bytes": 4.0 * parameters, "latency": parameters / 200_000}
    return Trial(
        backbone="MobileNetV2",
        input_size=96 if number % 4 == 3 else 224,
        connection=str(connection),
        family=connection.kind.family,
        accuracy=0.9 - 0.002 * number - 0.01 * (number % 5),
        score=0.9 - 0.001 * number,
        within_budget=number != 7,
        seconds=1.0 + number,
        costs=costs,
        tail_units=256 if connection.is_tail else 0,
        head_units=0,
        learning_rate=1e-3 * (1 + number % 4),
    )


def judged(name: str, both: int, gained: int, lost: int, neither: int) -> EvalResult:
    """How a model did beside its baseline, from the counts of both."""
    pairs = PairedCounts(both, gained, lost, neither)
    return EvalResult.from_counts(name, images=pairs.images, right=pairs.new_right, pairs=pairs)


def made_up_verdict() -> Verdict:
    """The model passes, and so does its float32 file; int8 does not."""
    thresholds = Thresholds(min_accuracy=0.8, max_drop=0.05, max_class_drop=0.2)
    overall = judged("", 32, 2, 3, 3)
    return judge(
        thresholds,
        overall,
        [judged("dress", 12, 0, 0, 1), judged("hat", 9, 1, 3, 1), judged("shirt & tie", 11, 1, 0, 1)],
        "5ha256",
        formats={
            "float32": judge_format(thresholds, overall, [], judged("", 34, 0, 0, 6).change),
            "int8": judge_format(thresholds, judged("", 27, 1, 8, 4), [], judged("", 28, 0, 6, 6).change),
        },
        notes=["class 'scarf' came since the baseline"],
    )


SPLITS = ("train", "eval", "test")


def example(true: str, predicted: str, probability: float, *, reference_is_right: bool = True) -> ExampleImage:
    colour = (CLASSES.index(true) * 90 + 40, 90, 200 - CLASSES.index(predicted) * 60)
    return ExampleImage(true, predicted, probability, 0.9 - 0.8 * probability, jpeg(colour), reference_is_right)


def made_up_report() -> ReportData:
    """The report of a model that passes."""
    verdict = made_up_verdict()
    epochs = np.arange(1, 7)
    curve = {
        "loss": (2 / epochs).tolist(), "accuracy": (1 - 0.5 / epochs).tolist(),
        "val_loss": (1.8 / epochs).tolist(), "val_accuracy": (0.9 - 0.4 / epochs).tolist(), "best_epoch": [6.0],
    }  # fmt: skip
    network = [
        Block("Conv1_relu", "kept", 1000, 48, 32), Block("block_1_add", "kept", 6000, 24, 24),
        Block("block_2_add", "kept", 9000, 12, 32), Block("tail", "added", 20_000, 3, 256),
        Block("block_3_add", "cut", 50_000, 6, 64), Block("block_4_add", "cut", 300_000, 3, 160),
        Block("head", "head", 771, 0, 3),
    ]  # fmt: skip
    return ReportData(
        name="made-up",
        made="2026-01-02 03:04 UTC",
        backbone="MobileNetV2",
        verdict=verdict,
        pushed_to="/served/1",
        advice=advice(verdict, EvalResult.from_counts("", images=40, right=35)),
        reference=ModelFigures(35, 40, 360_000, 1_450_000, Latency(2.0, 1.9, 2.2), 224, 240 * 1024),
        compressed=ModelFigures(34, 40, 36_771, 160_000, Latency(0.5, 0.48, 0.55), 96, 12 * 1024),
        change=verdict.overall.change,
        formats={
            "float32": FormatFigures("model.tflite", 160_000, Latency(0.5, 0.48, 0.55), Speedup(4.0, 3.8, 4.3)),
            "int8": FormatFigures("model_int8.tflite", 44_000, Latency(1.9, 1.7, 2.3), Speedup(1.05, 0.9, 1.2)),
        },
        trials=[trial(number) for number in range(24)],
        translators={f"block_{a}_add->{b}": 0.9 - 0.1 * a for a in range(1, 4) for b in ("block_16_expand", "Conv_1")},
        network=network,
        histories={"reference": curve, "compressed": curve},
        predictions=ComparedPredictions(
            classes=CLASSES,
            reference=[{0: 12, 1: 1}, {0: 1, 1: 12, 2: 1}, {1: 2, 2: 11}],
            compressed=[{0: 12, 2: 1}, {0: 3, 1: 10, 2: 1}, {1: 1, 2: 12}],
            lost=3,
            gained=2,
            wrong=[
                example("hat", "dress", 0.97),
                example("shirt & tie", "hat", 0.81, reference_is_right=False),
                example("hat", "shirt & tie", 0.55),
            ],
            right=[example("dress", "dress", 0.41), example("hat", "hat", 0.52)],
            changed={"hat": [example("hat", "dress", 0.7)]},
        ),
        data=RunData(
            images={split: dict.fromkeys(CLASSES, 10 * place) for place, split in enumerate(SPLITS, 1)},
            totals={"train": 30, "eval": 60, "test": 40},
            skipped=2,
            skipped_files=["train/hat/broken.jpg"],
            duplicates=3,
            duplicates_left_out=1,
            imbalance=2.5,
            drift=0.04,
            anomalies=["test, label: Unexpected string values"],
        ),
        config={"name": "made-up", "seed": 3, "search": {"tau": 0.9, "finalist_epochs": 3}},
        versions={"auto-compressor": "0.1.0"},
        artifacts={"compressed": "/root/retrain/model/7"},
        finalists=[
            Finalist(
                one.backbone,
                one.input_size,
                one.connection,
                60_000,
                one.accuracy,
                0.93 - 0.01 * number,
                0.9,
                [0.88, 0.9, 0.93],
            )
            for number, one in enumerate(map(trial, range(3)))
        ],
        steps=[NodeStep("retrain", "done", 12.5, {"base_model": "PruningSearch"}, {"model": "/root/retrain/model/7"})],
    )


def made_up_refusal() -> ReportData:
    """The report of a model that is refused, with classes of long names and paths."""
    data, thresholds = made_up_report(), Thresholds(min_accuracy=0.9, max_drop=0.05, confidence=0.95)
    verdict = judge(thresholds, data.verdict.overall, data.verdict.classes, "5ha256", formats=data.verdict.formats)
    reference = data.reference.result()
    return replace(data, verdict=verdict, pushed_to=None, advice=advice(verdict, reference))
