"""What a report tells, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from compressor_lib.figures import FormatFigures, ModelFigures
from compressor_lib.redaction import redact_values

DATA_FILE = "report.json"
PAGE_FILE = "report.html"


@dataclass(frozen=True)
class Verdict:
    """What the gate said, and what followed.

    Attributes:
        blessed: Whether the Evaluator let the model pass.
        reasons: Why it did not, a sentence each.
        pushed_to: Where it was pushed to, None if it was not.
    """

    blessed: bool
    reasons: list[str]
    pushed_to: str | None


@dataclass(frozen=True)
class Trial:
    """One trial of the search.

    Attributes:
        connection: By layer names.
        family: ``"tail"``, ``"rejoined"``, ``"truncation"`` or ``"two cuts"``.
        accuracy: On the validation split, before it was retrained.
        score: The objective.
        within_budget: Whether it keeps every budget.
        seconds: How long it was trained.
        costs: By name in ``compressor_lib.costs.COSTS``: those that are known.
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
class ChangedPicture:
    """A test picture that the reference names rightly, and the compressed model does not.

    Attributes:
        answer: The class that the compressed model names.
        confidence: The probability it gives that class.
        image: A small JPEG, as a ``data:`` URI.
    """

    answer: str
    confidence: float
    image: str


Confusion = list[dict[int, int]]
"""For each class, how many of its pictures are taken for which, by number. Classes that none is taken for are left out,
so it grows with the pictures, not with the square of the classes."""


@dataclass(frozen=True)
class Answers:
    """What both models answer to the test split.

    Attributes:
        classes: The classes, by number.
        reference: What the reference takes the pictures of each class for.
        compressed: Likewise, the compressed model.
        changed: Pictures whose answer went wrong, by class: a few of each of those that lost most.
    """

    classes: list[str]
    reference: Confusion
    compressed: Confusion
    changed: dict[str, list[ChangedPicture]]


@dataclass(frozen=True)
class DataSummary:
    """The pictures of a run.

    Attributes:
        pictures: How many there are of each class, by split.
        totals: How many there are, by split.
        skipped: How many files were left out.
        skipped_files: Some of them.
        duplicates: How many pictures are copies of others; None where they were not looked for.
        duplicates_left_out: How many of them were left out, being in another split too.
        imbalance: How many times as many training pictures the largest class has as the smallest.
        drift: Largest change of a class's share against the run before, 0 to 1; None without one.
        anomalies: What ExampleValidator found, a sentence each.
        left_out: How many images were left out, by kind, such as ``".heic"``.
        others: How many files are no images, by suffix.
    """

    pictures: dict[str, dict[str, int]]
    totals: dict[str, int]
    skipped: int
    skipped_files: list[str]
    duplicates: int | None
    duplicates_left_out: int
    imbalance: float
    drift: float | None
    anomalies: list[str]
    left_out: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)


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
        verdict: What the gate said.
        reference: The uncompressed model.
        compressed: The compressed one.
        formats: The compressed one's TFLite twins, by precision, ``float32`` among them.
        trials: The search's, the winner first.
        translators: How well each pretrained translator fits (R2), by connection.
        network: The reference's blocks, with what was cut and added.
        histories: What each training came through, by ``reference`` and ``compressed``; see
            :func:`compressor_lib.training.train`.
        answers: What both models say to the test split.
        data: The pictures.
        config: The configuration, every field.
        versions: Of the project and what it stands on.
        artifacts: Where what the report was made of is, by node and key.
        steps: The run's nodes, where these are known; a node of a run cannot see the others.
    """

    name: str
    made: str
    backbone: str
    verdict: Verdict
    reference: ModelFigures
    compressed: ModelFigures
    formats: dict[str, FormatFigures]
    trials: list[Trial]
    translators: dict[str, float]
    network: list[Block]
    histories: dict[str, dict[str, list[float]]]
    answers: Answers
    data: DataSummary
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
