"""The content of a report, as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from components.artifacts.data_summary import DataSummary
from compressor_lib.deployment.figures import FormatFigures, ModelFigures
from compressor_lib.deployment.gate import Verdict
from compressor_lib.deployment.intervals import Interval
from compressor_lib.deployment.precision import Precision, smallest
from compressor_lib.support.redaction import redact_values

DATA_FILE = "report.json"
PAGE_FILE = "report.html"


@dataclass(frozen=True)
class Trial:
    """One trial of the search.

    Attributes:
        backbone: Name of the backbone, such as ``"MobileNetV2 0.35"``.
        input_size: Height and width of its images, in pixels.
        connection: The connection, by layer names, such as ``"block_5_add->Conv_1"``.
        family: ``"tail"``, ``"rejoining"`` or ``"truncation"``.
        accuracy: Accuracy on the eval split before retraining, 0..1.
        score: Value of the search's objective on the eval split; higher is better.
        within_budget: Whether it meets every budget.
        seconds: Training time.
        costs: Known costs, by name in ``compressor_lib.objective.costs.COSTS``, which also has their units.
        tail_units: Channels of the tail; 0 without a tail.
        head_units: Width of the head's hidden layer; 0 without a hidden layer.
        learning_rate: Learning rate of its Adam optimizer.
    """

    backbone: str
    input_size: int
    connection: str
    family: str
    accuracy: float
    score: float
    within_budget: bool
    seconds: float
    costs: dict[str, float]
    tail_units: int
    head_units: int
    learning_rate: float

    @property
    def network(self) -> str:
        """The backbone and the size of its images, such as ``"MobileNetV2 0.35, 96 px"``."""
        return f"{self.backbone}, {self.input_size} px"


@dataclass(frozen=True)
class Finalist:
    """A network of the search that was briefly retrained, to choose the winner.

    Attributes:
        backbone: Name of the backbone.
        input_size: Height and width of its images, in pixels.
        connection: The connection, by layer names.
        parameters: Number of parameters.
        before: Accuracy on the eval split in its trial, 0..1.
        accuracy: Accuracy on the eval split after its retraining.
        score: Value of the search's objective after its retraining.
        epochs: Accuracy on the eval split after each epoch of its retraining.
    """

    backbone: str
    input_size: int
    connection: str
    parameters: int
    before: float
    accuracy: float
    score: float
    epochs: list[float]


@dataclass(frozen=True)
class Block:
    """A part of the network, from one possible cut to the next.

    Attributes:
        name: Name of its last layer.
        state: ``"kept"``, ``"cut"``, ``"added"`` (a translator or a tail), or ``"head"``.
        parameters: Number of parameters of all its layers.
        size: Height of its output, in pixels; 0 for a head.
        channels: Channels of its output.
    """

    name: str
    state: str
    parameters: int
    size: int
    channels: int


@dataclass(frozen=True)
class ExampleImage:
    """A test image and the compressed model's prediction for it.

    Attributes:
        true: True class.
        predicted: The class that the compressed model predicts.
        probability: Probability that the compressed model gives the predicted class, 0..1.
        true_probability: Probability that the compressed model gives the true class, 0..1.
        image: A small JPEG, as a ``data:`` URI.
        reference_is_right: Whether the reference model classifies the image correctly.
    """

    true: str
    predicted: str
    probability: float
    true_probability: float
    image: str
    reference_is_right: bool


Confusion = list[dict[int, int]]
"""For each true class, in the order of the classes, the number of its images by predicted class.

Zeros are omitted, so the size grows with the number of images rather than with the square of the number of classes.
"""


@dataclass(frozen=True)
class ComparedPredictions:
    """Predictions of both models on the test split.

    Attributes:
        classes: Class names, by index.
        reference: Confusion matrix of the reference model.
        compressed: Confusion matrix of the compressed model.
        lost: Number of images that only the reference model classifies correctly.
        gained: Number of images that only the compressed model classifies correctly.
        wrong: A few images that the compressed model classifies wrongly, the most confident first.
        right: A few images that the compressed model classifies correctly, the least confident first.
        changed: A few images that only the reference model classifies correctly, for each of the classes that lost the
            most.
    """

    classes: list[str]
    reference: Confusion
    compressed: Confusion
    lost: int = 0
    gained: int = 0
    wrong: list[ExampleImage] = field(default_factory=list)
    right: list[ExampleImage] = field(default_factory=list)
    changed: dict[str, list[ExampleImage]] = field(default_factory=dict)


@dataclass(kw_only=True)
class RunData(DataSummary):
    """The images of a run: ExampleValidator's summary, and what was skipped or duplicated.

    ``images`` is in the order of the model's classes.

    Attributes:
        totals: Number of images, by split.
        skipped: Number of files left out.
        skipped_files: Some of these files.
        duplicates: Number of images that are copies of others; None if duplicates were not searched for.
        duplicates_left_out: Number of copies left out because they were in another split.
    """

    totals: dict[str, int]
    skipped: int
    skipped_files: list[str]
    duplicates: int | None
    duplicates_left_out: int


@dataclass(frozen=True)
class NodeStep:
    """One node's part in a run.

    Attributes:
        name: ID of the node.
        state: State of the node, such as ``"done"`` or ``"cached"``.
        seconds: Duration; None if unknown.
        inputs: Inputs, by key.
        outputs: Locations of its outputs, by key.
    """

    name: str
    state: str
    seconds: float | None
    inputs: dict[str, str]
    outputs: dict[str, str]

    def __post_init__(self) -> None:
        for name in ("inputs", "outputs"):
            object.__setattr__(self, name, redact_values(getattr(self, name)))


@dataclass(frozen=True)
class DeviceLatency:
    """Latencies from the latency table of a device, in milliseconds.

    Attributes:
        source: The table in words, such as ``"the latency table phone.csv (int8)"``.
        reference: Latency of the reference model.
        compressed: Latency of the compressed model.
    """

    source: str
    reference: float
    compressed: float


@dataclass(frozen=True)
class ReportData:
    """The content of a report, with credentials removed from URLs.

    Attributes:
        name: Name of the pipeline.
        made: Time at which the report was made, such as ``"2025-01-31 14:05 UTC"``.
        backbone: Name of the backbone.
        verdict: The gate's verdict on the model and on each TFLite format.
        pushed_to: Location that the model was pushed to; None if it was not pushed.
        advice: Advice on the verdict, one sentence each.
        reference: Figures of the uncompressed model.
        compressed: Figures of the compressed model.
        change: Change of accuracy on the test split, from the reference model to the compressed model.
        formats: Figures of the compressed model's TFLite models, by precision. The verdict says why any are missing.
        trials: Trials of the search, the winner first.
        translators: How well each pretrained translator fits (R2), by connection.
        network: Blocks of the uncompressed network in order, kept or cut, with the added ones between them. It is the
            reference model, unless the search chose another backbone or image size.
        histories: Training history of each model, under ``"reference"`` and ``"compressed"``; see
            :func:`compressor_lib.training.train.train`.
        predictions: Predictions of both models on the test split.
        data: The images.
        config: The configuration with every field.
        versions: Versions of the project and its dependencies.
        artifacts: Locations of the report's inputs, by node and key.
        finalists: Networks that were briefly retrained, the winner first; empty if the best trial won.
        device: Latencies on the device that the search used a table of; None if it measured latencies itself.
        steps: Nodes of the run, if known: the Report node itself cannot see the others.
        member: Name of the compressed model in a family; empty for the only model.
    """

    name: str
    made: str
    backbone: str
    verdict: Verdict
    pushed_to: str | None
    advice: list[str]
    reference: ModelFigures
    compressed: ModelFigures
    change: Interval
    formats: dict[str, FormatFigures]
    trials: list[Trial]
    translators: dict[str, float]
    network: list[Block]
    histories: dict[str, dict[str, list[float]]]
    predictions: ComparedPredictions
    data: RunData
    config: dict[str, Any]
    versions: dict[str, str]
    artifacts: dict[str, str] = field(default_factory=dict)
    finalists: list[Finalist] = field(default_factory=list)
    device: DeviceLatency | None = None
    steps: list[NodeStep] = field(default_factory=list)
    member: str = ""

    def __post_init__(self) -> None:
        for name in ("config", "artifacts"):
            object.__setattr__(self, name, redact_values(getattr(self, name)))

    @property
    def precision(self) -> Precision:
        """Precision of the TFLite files that the trials' bytes and latencies are of: the smallest that was to ship."""
        return smallest(self.config.get("export", {}).get("formats", ()))

    def write(self, folder: Path) -> None:
        """Writes ``report.json`` to a folder, which must exist."""
        (folder / DATA_FILE).write_bytes(_ADAPTER.dump_json(self, indent=1))

    @property
    def budget(self) -> dict[str, float]:
        """The limits of its budget, by their names in the configuration."""
        budgets = self.config["search"]["budgets"]
        limits = budgets[self.member] if self.member else budgets
        return {name: limit for name, limit in limits.items() if limit is not None}

    @classmethod
    def read(cls, folder: Path) -> ReportData:
        """Reads data written by :meth:`write`.

        Raises:
            OSError: If the file is missing or cannot be read.
            pydantic.ValidationError: If its content is not that of a report.
        """
        return _ADAPTER.validate_json((folder / DATA_FILE).read_bytes())


_ADAPTER = TypeAdapter(ReportData)


@dataclass(frozen=True)
class _Family:
    members: dict[str, ReportData]


_FAMILY_ADAPTER = TypeAdapter(_Family)


def write_reports(reports: Mapping[str, ReportData], folder: Path) -> None:
    """Writes ``report.json`` to a folder, which must exist.

    Args:
        reports: The reports of a family by name, or that of the only model under an empty name.
        folder: The folder.
    """
    if "" in reports:
        reports[""].write(folder)
    else:
        (folder / DATA_FILE).write_bytes(_FAMILY_ADAPTER.dump_json(_Family(dict(reports)), indent=1))


def read_reports(folder: Path) -> dict[str, ReportData]:
    """Reads what :func:`write_reports` wrote.

    Raises:
        OSError: If the file is missing or cannot be read.
        pydantic.ValidationError: If its content is not that of a report.
    """
    content = (folder / DATA_FILE).read_bytes()
    if json.loads(content).keys() == {"members"}:
        return _FAMILY_ADAPTER.validate_json(content).members
    return {"": _ADAPTER.validate_json(content)}
