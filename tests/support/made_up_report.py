"""A report of made-up figures, in which every section has something to tell."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from components.report.data import (
    Answers,
    Block,
    ChangedPicture,
    DataSummary,
    NodeStep,
    ReportData,
    Trial,
    Verdict,
)
from compressor_lib.figures import FormatFigures, ModelFigures

CLASSES = ["dress", "hat", "shirt & tie"]


def jpeg(colour: tuple[int, int, int]) -> str:
    file = io.BytesIO()
    Image.new("RGB", (32, 24), colour).save(file, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def trial(number: int) -> Trial:
    a = f"block_{number % 12 + 1}_add"
    family, b = (("tail", "tail"), ("truncation", "head"), ("rejoined", "Conv_1"))[number % 3]
    parameters = 60_000 * (number % 12 + 1) + 500 * number
    costs = {"parameters": float(parameters), "flops": 150.0 * parameters}
    if number < 4:
        costs |= {"bytes": 4.0 * parameters, "latency": parameters / 200_000}
    return Trial(
        connection=f"{a}->{b}",
        family=family,
        accuracy=0.9 - 0.002 * number - 0.01 * (number % 5),
        score=0.9 - 0.001 * number,
        within_budget=number != 7,
        seconds=1.0 + number,
        costs=costs,
        tail_units=256 if family == "tail" else 0,
        head_units=0,
        learning_rate=1e-3 * (1 + number % 4),
    )


def made_up_report() -> ReportData:
    """The report."""
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
        verdict=Verdict(True, [], "/served/1"),
        reference=ModelFigures(0.875, 360_000, 1_450_000, 2.0),
        compressed=ModelFigures(0.85, 36_771, 160_000, 0.5),
        formats={
            "float32": FormatFigures(160_000, 0.5, 0.85),
            "int8": FormatFigures(44_000, 0.25, 0.825),
        },
        trials=[trial(number) for number in range(24)],
        translators={f"block_{a}_add->{b}": 0.9 - 0.1 * a for a in range(1, 4) for b in ("block_16_expand", "Conv_1")},
        network=network,
        histories={"reference": curve, "compressed": curve},
        answers=Answers(
            classes=CLASSES,
            reference=[{0: 12, 1: 1}, {0: 1, 1: 12, 2: 1}, {1: 2, 2: 11}],
            compressed=[{0: 12, 2: 1}, {0: 3, 1: 10, 2: 1}, {1: 1, 2: 12}],
            changed={"hat": [ChangedPicture("dress", 0.7, jpeg((200, 40, 40)))]},
        ),
        data=DataSummary(
            pictures={split: dict.fromkeys(CLASSES, 10 * place) for place, split in enumerate(("train", "test"), 1)},
            totals={"train": 30, "test": 60},
            skipped=2,
            skipped_files=["train/hat/broken.jpg"],
            duplicates=3,
            duplicates_left_out=1,
            imbalance=2.5,
            drift=0.04,
            anomalies=["test, label: Unexpected string values"],
        ),
        config={"name": "made-up", "seed": 3, "search": {"tau": 0.9}},
        versions={"auto-compressor": "0.1.0"},
        artifacts={"compressed": "/root/retrain/model/7"},
        steps=[NodeStep("retrain", "done", 12.5, {"base_model": "PruningSearch"}, {"model": "/root/retrain/model/7"})],
    )
