"""What a run came to: the compressed model beside its reference, its formats, and the gate's verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table

from compressor_lib.figures import FormatFigures, ModelFigures
from compressor_lib.gate import Figure, Verdict
from pipelines.data_summary import read_summary, render_summary
from pipelines.lineage import Lineage, Run

if TYPE_CHECKING:
    from pipelines.config import Config

MAX_LOSS = 0.015
"""The table warns of a format that loses more accuracy than this against float32."""


@dataclass(frozen=True)
class Results:
    """What a run came to.

    Attributes:
        reference: The uncompressed model.
        compressed: The compressed one.
        formats: The compressed one's TFLite twins, by precision, ``float32`` among them.
        verdict: What the gate says of it.
        has_reference_as_baseline: Whether the gate compared it with the reference.
        pushed_path: Folder it was pushed to, None if it was not.
        data: What the data is like: the fields of a :class:`components.data_summary.Summary`.
        pushed_before: When an earlier run has pushed it, if this one had nothing new to push; else empty.
    """

    reference: ModelFigures
    compressed: ModelFigures
    formats: dict[str, FormatFigures]
    verdict: Verdict
    has_reference_as_baseline: bool
    pushed_path: str | None
    data: dict[str, Any] = field(default_factory=dict)
    pushed_before: str = ""

    @property
    def blessed(self) -> bool:
        """Whether the gate let it pass."""
        return self.verdict.blessed

    @property
    def reasons(self) -> list[str]:
        """Why it did not pass, a sentence each."""
        return self.verdict.reasons

    def to_json(self) -> str:
        """All of it, as a JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Results:
        """Reads what :meth:`to_json` wrote."""
        fields = json.loads(text)
        return cls(
            reference=ModelFigures(**fields.pop("reference")),
            compressed=ModelFigures(**fields.pop("compressed")),
            formats={name: FormatFigures(**figures) for name, figures in fields.pop("formats").items()},
            verdict=Verdict.from_json(json.dumps(fields.pop("verdict"))),
            **fields,
        )


def conclude(config: Config) -> Results:
    """Reads what the newest run came to, keeps it with the run in ML Metadata, and puts its report into the output.

    Args:
        config: The run's.

    Returns:
        As :func:`collect`.
    """
    from pipelines.report import write_report

    lineage = Lineage(config.metadata_path)
    run = lineage.run()
    results = collect(run)
    lineage.keep_results(run, results.to_json())
    write_report(run, Path(config.output))
    return results


def collect(run: Run) -> Results:
    """Reads what a run came to from its report.

    Args:
        run: The run.

    Returns:
        The figures of both models on the test split, and the verdict.

    Raises:
        CompressorError: If the run did not come so far.
    """
    from components.evaluator.executor import read_verdict
    from components.report.data import ReportData

    data = ReportData.read(Path(run["Report"].outputs["report"].uri))
    evaluator = run["Evaluator"]
    return Results(
        reference=data.reference,
        compressed=data.compressed,
        formats=data.formats,
        verdict=read_verdict(evaluator.outputs["evaluation"].uri),
        has_reference_as_baseline=evaluator.inputs.get("baseline_model") == run["reference"].outputs["model"],
        pushed_path=run.pushed_path if run.pushed_path and _may_be_there(run.pushed_path) else None,
        data=read_summary(run["ExampleValidator"]),
        pushed_before=f"{run.pushed_at:%Y-%m-%d %H:%M}" if run.pushed_at and run["Pusher"].state == "cached" else "",
    )


def _may_be_there(path: str) -> bool:
    """False for what was on this machine and is deleted."""
    return "://" in path or Path(path).exists()


def render_results(results: Results) -> Group:
    """Sets both models side by side, the compressed one's TFLite twins below, and in front of them the data.

    Args:
        results: What to show.

    Returns:
        Three tables: a row for each split, for each figure, for each format.
    """
    return Group(render_summary(results.data), _models_table(results), _formats_table(results.formats))


def _models_table(results: Results) -> Table:
    before, after = results.reference, results.compressed
    table = Table(title="Test split: reference and compressed")
    table.add_column("")
    for column in ("reference", "compressed", "change"):
        table.add_column(column, justify="right")
    table.add_row("accuracy", *_accuracies(before.accuracy, after.accuracy))
    for row in _gate_rows(results):
        table.add_row(*row)
    rows = (
        ("parameters", before.parameters, after.parameters, "{:,}"),
        ("TFLite bytes", before.bytes, after.bytes, "{:,}"),
        ("TFLite ms a picture", before.milliseconds, after.milliseconds, "{:.2f}"),
    )
    for name, old, new, form in rows:
        table.add_row(name, form.format(old), form.format(new), f"{new / old - 1:+.1%}")
    compression = 1 - after.parameters / before.parameters
    table.add_row("compression", "", f"{compression:.1%}", "", style="bold")
    return table


def _gate_rows(results: Results) -> Iterator[tuple[str, ...]]:
    """What the gate knows beyond the accuracy of both models."""
    overall, worst = results.verdict.overall, results.verdict.worst_class
    if not results.has_reference_as_baseline and overall.baseline:
        yield "against the gate's baseline", *_accuracies(overall.baseline.value, overall.accuracy.value)
    if results.verdict.bounds.confidence is not None:
        yield (
            f"with {100 * results.verdict.bounds.confidence:g}% confidence",
            _interval(overall.baseline, ".1f", "%"),
            _interval(overall.accuracy, ".1f", "%"),
            _interval(overall.change, "+.1f", " points"),
        )
    if worst and worst.baseline and worst.change and worst.change.value < 0:
        yield f"class {worst.name}", *_accuracies(worst.baseline.value, worst.accuracy.value)


def _accuracies(before: float, after: float) -> tuple[str, str, str]:
    return f"{before:.2%}", f"{after:.2%}", f"{100 * (after - before):+.2f} points"


def _interval(figure: Figure | None, form: str, unit: str) -> str:
    """Both ends of an interval; each holds with the gate's confidence."""
    if figure is None or figure.low is None or figure.high is None:
        return ""
    return f"{100 * figure.low:{form}} to {100 * figure.high:{form}}{unit}"


def _formats_table(formats: dict[str, FormatFigures]) -> Table:
    table = Table(title="Test split: the compressed model in TFLite")
    table.add_column("")
    for column in ("bytes", "ms a picture", "accuracy", "against float32"):
        table.add_column(column, justify="right")
    lossy = []
    for name, twin in formats.items():
        change = twin.accuracy - formats["float32"].accuracy
        if change < -MAX_LOSS:
            lossy.append(name)
        table.add_row(
            name,
            f"{twin.bytes:,}",
            f"{twin.milliseconds:.2f}",
            f"{twin.accuracy:.2%}",
            f"{100 * change:+.2f} points",
            style="yellow" if name in lossy else None,
        )
    if lossy:
        table.caption = f"{' and '.join(lossy)} lost more than {100 * MAX_LOSS:g} points: deploy another format."
    return table
