"""What a run came to: the compressed model beside its reference, its formats, and the gate's verdict."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table

from pipelines.data_summary import read_summary, render_summary
from pipelines.lineage import Lineage, NodeRun, Run
from pipelines.measurements import measure

if TYPE_CHECKING:
    from pipelines.config import Config

MAX_LOSS = 0.015
"""The table warns of a format that loses more accuracy than this against float32."""


@dataclass(frozen=True)
class ModelFigures:
    """What is measured of one model.

    Attributes:
        accuracy: Share of the test split's pictures named rightly, 0 to 1.
        parameters: Number of parameters, the head's included.
        bytes: Size of the TFLite twin.
        milliseconds: Median time of the TFLite twin for one picture, on one thread.
    """

    accuracy: float
    parameters: int
    bytes: int
    milliseconds: float


@dataclass(frozen=True)
class FormatFigures:
    """What is measured of one TFLite twin.

    Attributes:
        bytes: Size of the file.
        milliseconds: Median time for one picture, on one thread.
        accuracy: Share of the test split's pictures named rightly, 0 to 1.
    """

    bytes: int
    milliseconds: float
    accuracy: float


@dataclass(frozen=True)
class Results:
    """What a run came to.

    Attributes:
        reference: The uncompressed model.
        compressed: The compressed one.
        formats: The compressed one's TFLite twins, by precision, ``float32`` among them.
        blessed: Whether the Evaluator let it pass.
        pushed_path: Folder it was pushed to, None if it was not.
        reasons: Why it did not pass, a sentence each.
        data: What the data is like: the fields of a :class:`components.data_summary.Summary`.
    """

    reference: ModelFigures
    compressed: ModelFigures
    formats: dict[str, FormatFigures]
    blessed: bool
    pushed_path: str | None
    reasons: list[str]
    data: dict[str, Any] = field(default_factory=dict)

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
            **fields,
        )


def conclude(config: Config) -> Results:
    """Reads what the newest run came to, and keeps it with the run in ML Metadata.

    Args:
        config: The run's.

    Returns:
        As :func:`collect`.
    """
    lineage = Lineage(config.metadata_path)
    run = lineage.run()
    results = collect(config, run)
    lineage.keep_results(run, results.to_json())
    return results


def collect(config: Config, run: Run) -> Results:
    """Reads what a run came to.

    Times, and what the Evaluator did not judge, are measured here, and kept in the output's
    ``measured.json`` for the next run that comes to the same models.

    Args:
        config: The run's.
        run: The run.

    Returns:
        The figures of both models on the test split, and the verdict.

    Raises:
        CompressorError: If the run did not come so far.
    """
    from tfx.utils import path_utils

    from compressor_lib.export import read_parameters, tflite_path, tflite_paths

    directories = {
        node: path_utils.serving_model_path(run[node].outputs["model"].uri) for node in ("reference", "retrain")
    }
    accuracies, blessed, reasons = _verdict(run["Evaluator"])
    formats = tflite_paths(directories["retrain"])
    # Where the gate compared with another model, or with none, the reference is still to be judged.
    compared = run["Evaluator"].inputs.get("baseline_model") == run["reference"].outputs["model"]
    measured = measure(
        Path(config.output) / "measured.json",
        {"reference": tflite_path(directories["reference"]), **formats},
        judged=[*([] if compared else ["reference"]), *formats],
        examples=run["Evaluator"].inputs["examples"].uri,
        size=config.backbone.input_size,
    )
    if not compared:
        accuracies["baseline"] = measured.accuracies["reference"]
    reference, compressed = (
        ModelFigures(
            accuracy=accuracies[role],
            parameters=read_parameters(directories[node]),
            bytes=os.path.getsize(tflite_path(directories[node])),
            milliseconds=measured.milliseconds[name],
        )
        for node, role, name in (("reference", "baseline", "reference"), ("retrain", "candidate", "float32"))
    )
    return Results(
        reference=reference,
        compressed=compressed,
        formats={
            name: FormatFigures(os.path.getsize(path), measured.milliseconds[name], measured.accuracies[name])
            for name, path in formats.items()
        },
        blessed=blessed,
        pushed_path=run.pushed_path if run.pushed_path and _may_be_there(run.pushed_path) else None,
        reasons=reasons,
        data=read_summary(run["ExampleValidator"]),
    )


def _may_be_there(path: str) -> bool:
    """False for what was on this machine and is deleted."""
    return "://" in path or Path(path).exists()


def _verdict(evaluator: NodeRun) -> tuple[dict[str, float], bool, list[str]]:
    """Accuracy of candidate and baseline, whether the candidate is blessed, and why not."""
    import tensorflow_model_analysis as tfma

    uri = evaluator.outputs["evaluation"].uri
    accuracies = {}
    for role in ("candidate", "baseline"):
        ((_, metrics),) = tfma.load_eval_result(uri, model_name=role).slicing_metrics or [((), {})]
        if metrics:
            accuracies[role] = metrics[""][""]["sparse_categorical_accuracy"]["doubleValue"]
    validation = tfma.load_validation_result(uri)
    reasons = [
        _reason(failure)
        for slice_validation in validation.metric_validations_per_slice
        for failure in slice_validation.failures
    ]
    return accuracies, bool(validation.validation_ok), reasons


def _reason(failure: object) -> str:
    value = failure.metric_value.double_value.value  # type: ignore[attr-defined]
    threshold = failure.metric_threshold  # type: ignore[attr-defined]
    if threshold.HasField("change_threshold"):
        allowed = -threshold.change_threshold.absolute.value
        return (
            f"accuracy changes by {100 * value:+.2f} points against the baseline; "
            f"gate.max_drop allows a drop of {100 * allowed:.2f}"
        )
    return f"accuracy is {value:.2%}; gate.min_accuracy asks for {threshold.value_threshold.lower_bound.value:.2%}"


def render_results(results: Results) -> Group:
    """Sets both models side by side, the compressed one's TFLite twins below, and in front of them the data.

    Args:
        results: What to show.

    Returns:
        Three tables: a row for each split, for each figure, for each format.
    """
    data = render_summary(results.data)
    return Group(data, _models_table(results.reference, results.compressed), _formats_table(results.formats))


def _models_table(before: ModelFigures, after: ModelFigures) -> Table:
    table = Table(title="Test split: reference and compressed")
    table.add_column("")
    for column in ("reference", "compressed", "change"):
        table.add_column(column, justify="right")
    table.add_row(
        "accuracy",
        f"{before.accuracy:.2%}",
        f"{after.accuracy:.2%}",
        f"{100 * (after.accuracy - before.accuracy):+.2f} points",
    )
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
