"""What a report tells, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from components.artifacts.data_summary import DataSummary
from compressor_lib.deployment.figures import FormatFigures, ModelFigures
from compressor_lib.deployment.gate import Verdict
from compressor_lib.deployment.intervals import Interval
from compressor_lib.support.redaction import redact_values

DATA_FILE = "report.json"
PAGE_FILE = "report.html"


@dataclass(frozen=True)
class Trial:
    """One trial of the search.

    Attributes:
        connection: By layer names.
        family: ``"tail"``, ``"rejoined"`` or ``"truncation"``.
        accuracy: On the validation split, before it was retrained.
        score: The objective.
        within_budget: Whether it keeps every budget.
        seconds: How long it was trained.
        costs: By name in ``compressor_lib.objective.costs.COSTS``: those that are known.
        tail_units: Channels of the tail; 0 where there is none.
        head_units: Width of the head's hidden layer; 0 where there is none.
        learning_rate: Its Adam's.
    """

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


@dataclass(frozen=True)
class Block:
    """A piece of the network, from one possible cut to the next.

    Attributes:
        name: Its last layer's.
        state: ``"kept"``, ``"cut"`` or ``"added"`` (a translator or a tail); ``"head"`` for what answers.
        parameters: Of all its layers.
        size: Height of what it hands on, in pixels; 0 for a head.
        channels: Of what it hands on.
    """

    name: str
    state: str
    parameters: int
    size: int
    channels: int


@dataclass(frozen=True)
class ExampleImage:
    """A test image with what the compressed model takes it for.

    Attributes:
        true: Its class.
        predicted: The class that the compressed model predicts.
        probability: The probability it gives that class.
        true_probability: The probability it gives the image's class.
        image: A small JPEG, as a ``data:`` URI.
        reference_is_right: Whether the reference model predicts its class.
    """

    true: str
    predicted: str
    probability: float
    true_probability: float
    image: str
    reference_is_right: bool


Confusion = list[dict[int, int]]
"""For each class, how many of its images are taken for which, by number. Classes that none is taken for are left out,
so it grows with the images, not with the square of the classes."""


@dataclass(frozen=True)
class Answers:
    """What both models answer to the test split.

    Attributes:
        classes: The classes, by number.
        reference: What the reference takes the images of each class for.
        compressed: Likewise, the compressed model.
        lost: How many images the reference names rightly and the compressed model does not.
        gained: The other way round.
        wrong: Images that the compressed model names wrongly, that of which it is surest first; a few.
        right: Images that it names rightly, that of which it is least sure first; a few.
        changed: Images whose prediction went wrong, by class: a few of each of those that lost most.
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
    """The images of a run: what ExampleValidator noted, its ``images`` in the order of the model's classes, and more.

    Attributes:
        totals: How many images there are, by split.
        skipped: How many files were left out.
        skipped_files: Some of them.
        duplicates: How many images are copies of others; None where they were not looked for.
        duplicates_left_out: How many of them were left out, being in another split too.
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
        name: The node's id.
        state: Such as ``"done"`` or ``"cached"``.
        seconds: How long it took; None where that is not known.
        inputs: What it took, by key.
        outputs: Where what it made is, by key.
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
class ReportData:
    """All that a report tells, without the credentials that URLs may hold.

    Attributes:
        name: The pipeline's.
        made: When the report was made, in UTC.
        backbone: What was compressed.
        verdict: What the gate said, of the model and of each TFLite format.
        pushed_to: Where the model was pushed to, None if it was not.
        advice: What to do about the verdict, a sentence each.
        reference: The uncompressed model.
        compressed: The compressed one.
        change: Of accuracy on the test split, from the reference to the compressed model.
        formats: The compressed one's TFLite models, by precision; the verdict says of others why they do not convert.
        trials: The search's, the winner first.
        translators: How well each pretrained translator fits (R2), by connection.
        network: The reference's blocks, with what was cut and added.
        histories: What each training came through, by ``reference`` and ``compressed``; see
            :func:`compressor_lib.training.train.train`.
        answers: What both models say to the test split.
        data: The images.
        config: The configuration, every field.
        versions: Of the project and what it stands on.
        artifacts: Where what the report was made of is, by node and key.
        steps: The run's nodes, where these are known; a node of a run cannot see the others.
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
    answers: Answers
    data: RunData
    config: dict[str, Any]
    versions: dict[str, str]
    artifacts: dict[str, str] = field(default_factory=dict)
    steps: list[NodeStep] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("config", "artifacts"):
            object.__setattr__(self, name, redact_values(getattr(self, name)))

    def write(self, folder: Path) -> None:
        """Writes the data into a folder."""
        (folder / DATA_FILE).write_bytes(_ADAPTER.dump_json(self, indent=1))

    @classmethod
    def read(cls, folder: Path) -> ReportData:
        """Reads what :meth:`write` wrote."""
        return _ADAPTER.validate_json((folder / DATA_FILE).read_bytes())


_ADAPTER = TypeAdapter(ReportData)
