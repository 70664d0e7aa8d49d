"""What a run came to: the compressed model beside its reference, its formats, and the gate's verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from rich.console import Group
from rich.table import Table
from rich.text import Text

from compressor_lib.deployment import phrases
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.figures import FormatFigures, ModelFigures
from compressor_lib.deployment.gate import Verdict, left_out_sentences
from compressor_lib.deployment.intervals import Interval
from compressor_lib.deployment.model_metrics import Latency, Speedup
from compressor_lib.errors import CompressorError
from pipelines.results.data_summary import read_summary, render_summary
from pipelines.results.lineage import Lineage, Run

if TYPE_CHECKING:
    from pipelines.config.config import Config

OTHER_VERSION = "results of another version"
"""What is told in place of figures that this version cannot read."""


@dataclass(frozen=True)
class Results:
    """What a run came to.

    Attributes:
        reference: The uncompressed model.
        compressed: The compressed one.
        change: Of accuracy, from the reference to the compressed one, image by image.
        formats: The compressed one's TFLite models, by precision; the verdict says of others why they do not convert.
        verdict: What the gate says of it, and of each TFLite model.
        has_reference_as_baseline: Whether the gate compared it with the reference.
        pushed_path: Folder it was pushed to, None if it was not.
        data: What the data is like: the fields of a :class:`components.artifacts.data_summary.DataSummary`.
        advice: What to do about the verdict, a sentence each.
        pushed_before: When an earlier run has pushed it, if this one had nothing new to push; else empty.
    """

    reference: ModelFigures
    compressed: ModelFigures
    change: Interval
    formats: dict[str, FormatFigures]
    verdict: Verdict
    has_reference_as_baseline: bool
    pushed_path: str | None
    data: dict[str, Any] = field(default_factory=dict)
    advice: list[str] = field(default_factory=list)
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
        """Reads what :meth:`to_json` wrote.

        Raises:
            CompressorError: If another version of the project wrote it.
        """
        try:
            fields = json.loads(text)
            return _ADAPTER.validate_python({**fields, "verdict": Verdict.from_json(json.dumps(fields["verdict"]))})
        except (CompressorError, ValueError, TypeError, KeyError) as error:
            raise CompressorError(
                "another version of auto-compressor wrote the results of this run: run the pipeline again."
            ) from error


def kept_results(run: Run) -> tuple[Results | None, str]:
    """Reads what was kept of a run that may be of another version.

    Args:
        run: The run.

    Returns:
        What it came to, None where it did not come so far or cannot be read; and in the latter case a note of it.
    """
    try:
        return (Results.from_json(run.results) if run.results else None), ""
    except CompressorError:
        return None, OTHER_VERSION


def conclude(config: Config) -> Results:
    """Reads what the newest run came to, keeps it with the run in ML Metadata, and puts its report into the output.

    Args:
        config: The run's.

    Returns:
        As :func:`collect`.
    """
    from pipelines.results.report import write_report

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
    from components.report.data import ReportData

    data = ReportData.read(Path(run["Report"].outputs["report"].uri))
    evaluator = run["Evaluator"]
    return Results(
        reference=data.reference,
        compressed=data.compressed,
        change=data.change,
        formats=data.formats,
        verdict=data.verdict,
        has_reference_as_baseline=evaluator.inputs.get("baseline_model") == run["reference"].outputs["model"],
        pushed_path=run.pushed_path if run.pushed_path and _may_be_there(run.pushed_path) else None,
        data=read_summary(run["ExampleValidator"]),
        advice=data.advice,
        pushed_before=f"{run.pushed_at:%Y-%m-%d %H:%M}" if run.pushed_at and run["Pusher"].state == "cached" else "",
    )


def _may_be_there(path: str) -> bool:
    """False for what was on this machine and is deleted."""
    return "://" in path or Path(path).exists()


def render_results(results: Results) -> Group:
    """Sets both models side by side, the compressed one's TFLite models below, and in front of them the data.

    Args:
        results: What to show.

    Returns:
        Three tables: a row for each split, for each figure, for each format; then why formats are left out.
    """
    left_out = [Text(sentence, style="yellow") for sentence in left_out_sentences(results.verdict)]
    return Group(render_summary(results.data), _models_table(results), _formats_table(results), *left_out)


def _models_table(results: Results) -> Table:
    before, after = results.reference, results.compressed
    confidence = results.verdict.confidence_shown
    table = Table(
        title="Test split: reference and compressed",
        caption=f"intervals: {phrases.percent(confidence, decimals=None)} confidence",
    )
    table.add_column("")
    for column in ("reference", "compressed", "change"):
        table.add_column(column, justify="right")
    table.add_row("accuracy", *(_score(one.result(confidence)) for one in (before, after)), _change(results.change))
    for row in _gate_rows(results):
        table.add_row(*row)
    for name, old, new in (
        ("parameters", before.parameters, after.parameters),
        ("TFLite bytes", before.bytes, after.bytes),
    ):
        table.add_row(
            name,
            phrases.size(old),
            phrases.size(new),
            phrases.percent(new / old - 1, signed=True) if old and new else "",
        )
    float32 = results.formats.get("float32")
    table.add_row(
        "latency an image",
        _latency(before.latency),
        _latency(after.latency),
        _speed(None if float32 is None else float32.speedup),
    )
    compression = 1 - after.parameters / before.parameters
    table.add_row("compression", "", phrases.percent(compression), "", style="bold")
    return table


def _gate_rows(results: Results) -> Iterator[tuple[str, ...]]:
    """What the gate knows beyond the accuracy of both models."""
    overall, worst = results.verdict.overall, results.verdict.worst_class
    confidence = results.verdict.confidence_shown
    if not results.has_reference_as_baseline and overall.pairs:
        yield "gate's baseline", *_judged(overall, confidence)
    if worst and worst.pairs and worst.change and worst.change.value < 0:
        yield f"class {worst.name}", *_judged(worst, confidence)


def _judged(judged: EvalResult, confidence: float) -> tuple[str, str, str]:
    """The baseline's accuracy, the model's, and the change."""
    both = judged.compared(confidence)
    assert both is not None
    assert judged.change is not None
    return _score(both[0]), _score(both[1]), _change(judged.change)


def _score(judged: EvalResult) -> str:
    return "\n".join(phrases.accuracy_parts(judged))


def _change(change: Interval) -> str:
    return "\n".join(phrases.compared_parts(change))


def _latency(latency: Latency | None) -> str:
    return "\n".join(phrases.milliseconds_parts(latency))


def _speed(speedup: Speedup | None) -> str:
    return "\n".join(phrases.speed_parts(speedup))


def _formats_table(results: Results) -> Table:
    table = Table(title="Test split: the compressed model in TFLite")
    table.add_column("")
    for column in ("bytes", "latency", "against reference", "accuracy"):
        table.add_column(column, justify="right", no_wrap=column != "against reference")
    table.add_column("gate")
    for name, figures in results.formats.items():
        judged = results.verdict.formats.get(name)
        score = _score(judged.overall) if judged else ""
        said = "not judged" if judged is None else "passed" if judged.blessed else "failed"
        table.add_row(
            name, f"{figures.bytes:,}", _latency(figures.latency), _speed(figures.speedup), score, said,
            style="yellow" if judged and not judged.blessed else None,
        )  # fmt: skip
    for name in results.verdict.not_converted:
        table.add_row(name, "", "", "", "", phrases.NOT_CONVERTED, style="yellow")
    return table


_ADAPTER = TypeAdapter(Results)
