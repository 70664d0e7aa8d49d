"""The results of a run: the compressed model compared with the reference model, its formats, and the gate's verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from rich.console import Group
from rich.table import Table
from rich.text import Text

from compressor_lib.deployment import phrases
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.family import node_id
from compressor_lib.deployment.figures import FormatFigures, ModelFigures
from compressor_lib.deployment.gate import Verdict, left_out_sentences
from compressor_lib.deployment.intervals import Interval
from compressor_lib.deployment.model_metrics import Latency, Speedup
from compressor_lib.errors import CompressorError
from pipelines.results.data_summary import read_summary, render_summary
from pipelines.results.lineage import Lineage, Run

if TYPE_CHECKING:
    from components.report.data import ReportData
    from pipelines.config.config import Config

_MEMBERS = "members"
"""Key of the results of a family's models."""

OTHER_VERSION = "results of another version"
"""Shown instead of figures that this version cannot read."""


@dataclass(frozen=True)
class Results:
    """The results of a run.

    Attributes:
        reference: The uncompressed model.
        compressed: The compressed model.
        change: Change in accuracy from the reference model to the compressed model, paired by image.
        formats: TFLite models of the compressed model, by precision. The verdict has the reasons for those that could
            not be converted.
        verdict: The gate's verdict on the compressed model and each TFLite model.
        has_reference_as_baseline: Whether the gate's baseline is the reference model.
        pushed_path: Folder that the model was pushed to; None if it was not pushed.
        data: Summary of the data: the fields of a :class:`components.artifacts.data_summary.DataSummary`.
        advice: Sentences of advice about the verdict.
        pushed_before: Time at which an earlier run pushed the model, if this run had nothing new to push; otherwise
            empty.
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
        """Whether the model passed the gate."""
        return self.verdict.blessed

    @property
    def reasons(self) -> list[str]:
        """Sentences that say why the model did not pass."""
        return self.verdict.reasons

    def to_json(self) -> str:
        """Serialises the results as a JSON object."""
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
                "the results of this run were written by another version of auto-compressor: run the pipeline again."
            ) from error


def family_to_json(results: Mapping[str, Results]) -> str:
    """Serialises the results of all models of a run as a JSON object: those of the only model as they are."""
    if "" in results:
        return results[""].to_json()
    return json.dumps({_MEMBERS: {name: asdict(one) for name, one in results.items()}})


def family_from_json(text: str) -> dict[str, Results]:
    """Reads what :func:`family_to_json` wrote.

    Raises:
        CompressorError: If another version of the project wrote it.
    """
    content = json.loads(text)
    if isinstance(content, dict) and _MEMBERS in content:
        return {name: Results.from_json(json.dumps(one)) for name, one in content[_MEMBERS].items()}
    return {"": Results.from_json(text)}


def kept_results(run: Run) -> tuple[dict[str, Results], str]:
    """Reads the stored results of a run, which another version may have written.

    Args:
        run: The run.

    Returns:
        The results by the names of its models, with an empty name for the only one. They are empty if the run did not
        complete or they cannot be read; in the latter case, a note says so.
    """
    try:
        return (family_from_json(run.results) if run.results else {}), ""
    except (CompressorError, ValueError):
        return {}, OTHER_VERSION


def conclude(config: Config) -> dict[str, Results]:
    """Collects the results of the newest run, stores them in ML Metadata, and writes the report to the output folder.

    Args:
        config: The run's configuration.

    Returns:
        The results from :func:`collect`.
    """
    from pipelines.results.report import write_report

    lineage = Lineage(config.metadata_path)
    run = lineage.run()
    results = collect(run)
    lineage.keep_results(run, family_to_json(results))
    write_report(run, Path(config.output))
    return results


def collect(run: Run) -> dict[str, Results]:
    """Reads a run's results from its report.

    Args:
        run: The run.

    Returns:
        By the names of its models, with an empty name for the only one: the figures of the reference model and of the
        compressed model on the test split, and the verdict.

    Raises:
        CompressorError: If the run did not complete.
    """
    from components.report.data import read_reports

    reports = read_reports(Path(run["Report"].outputs["report"].uri))
    return {model: _results(run, model, data) for model, data in reports.items()}


def _results(run: Run, model: str, data: ReportData) -> Results:
    evaluator = run[node_id("Evaluator", model)]
    pushed_path, pushed_at = run.pushed_path_of(model), run.pushed_at_of(model)
    is_cached = pushed_at is not None and run[node_id("Pusher", model)].state == "cached"
    return Results(
        reference=data.reference,
        compressed=data.compressed,
        change=data.change,
        formats=data.formats,
        verdict=data.verdict,
        has_reference_as_baseline=evaluator.inputs.get("baseline_model") == run["reference"].outputs["model"],
        pushed_path=pushed_path if pushed_path and _may_be_there(pushed_path) else None,
        data=read_summary(run["ExampleValidator"]),
        advice=data.advice,
        pushed_before=f"{pushed_at:%Y-%m-%d %H:%M}" if pushed_at and is_cached else "",
    )


def _may_be_there(path: str) -> bool:
    """False for a local path that was deleted."""
    return "://" in path or Path(path).exists()


def render_results(results: Results) -> Group:
    """Formats the results as tables: the data, both models side by side, and the TFLite models.

    Args:
        results: The results.

    Returns:
        Three tables, with a row for each split, figure and format; then the reasons for skipped formats.
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
    for name, old, new, shown in (
        ("parameters", before.parameters, after.parameters, phrases.size),
        ("TFLite bytes", before.bytes, after.bytes, phrases.size),
        ("memory in int8", before.memory, after.memory, phrases.memory),
    ):
        table.add_row(
            name,
            shown(old),
            shown(new),
            phrases.percent(new / old - 1, signed=True) if old and new else "",
        )
    if before.input_size or after.input_size:
        table.add_row("image size", *(phrases.side(one.input_size) for one in (before, after)), "")
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
    """Yields rows for the gate's figures other than the accuracy of both models."""
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
        outcome = "not judged" if judged is None else "passed" if judged.blessed else "failed"
        table.add_row(
            name, f"{figures.bytes:,}", _latency(figures.latency), _speed(figures.speedup), score, outcome,
            style="yellow" if judged and not judged.blessed else None,
        )  # fmt: skip
    for name in results.verdict.not_converted:
        table.add_row(name, "", "", "", "", phrases.NOT_CONVERTED, style="yellow")
    return table


_ADAPTER = TypeAdapter(Results)
