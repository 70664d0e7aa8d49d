"""What a run came to: the compressed model beside its reference, and the gate's verdict."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from pipelines.lineage import NodeRun, latest_run

if TYPE_CHECKING:
    from pipelines.config import Config


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
class Results:
    """What a run came to.

    Attributes:
        reference: The uncompressed model.
        compressed: The compressed one.
        blessed: Whether the Evaluator let it pass.
        pushed_path: Folder it was pushed to, None if it was not.
        reasons: Why it did not pass, a sentence each.
    """

    reference: ModelFigures
    compressed: ModelFigures
    blessed: bool
    pushed_path: str | None
    reasons: list[str]


def collect(config: Config) -> Results:
    """Reads what the newest run of a configuration came to.

    Both models are timed here, in alternation, so that what else the machine does hits both.

    Args:
        config: The run's.

    Returns:
        The figures of both models on the test split, and the verdict.

    Raises:
        CompressorError: If there is no run.
    """
    from tfx.utils import path_utils

    from compressor_lib.export import tflite_path
    from compressor_lib.measure import latency_ms

    run = latest_run(config.metadata_path, config.name)
    directories = {
        node: path_utils.serving_model_path(run[node].outputs["model"].uri) for node in ("reference", "retrain")
    }
    accuracies, blessed, reasons = _verdict(run["Evaluator"])
    if run["Evaluator"].inputs.get("baseline_model") != run["reference"].outputs["model"]:
        # The gate compared with another model, or with none, so the reference is still to be judged.
        examples = run["Evaluator"].inputs["examples"].uri
        accuracies["baseline"] = _test_accuracy(directories["reference"], examples)
    milliseconds = latency_ms({node: tflite_path(folder) for node, folder in directories.items()})
    figures = {
        node: ModelFigures(
            accuracy=accuracies[role],
            parameters=_parameters(directories[node]),
            bytes=os.path.getsize(tflite_path(directories[node])),
            milliseconds=milliseconds[node],
        )
        for node, role in (("reference", "baseline"), ("retrain", "candidate"))
    }
    return Results(
        reference=figures["reference"],
        compressed=figures["retrain"],
        blessed=blessed,
        pushed_path=_pushed_path(run.get("Pusher")),
        reasons=reasons,
    )


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


def _test_accuracy(directory: str, examples: str) -> float:
    from components.examples import picture_dataset, split_patterns
    from compressor_lib.export import load_keras

    model = load_keras(directory)
    size = model.input_shape[1]
    dataset = picture_dataset(split_patterns(examples, "test"), size=size, batch_size=64)
    return float(model.evaluate(dataset, return_dict=True, verbose=0)["accuracy"])


def _parameters(directory: str) -> int:
    from compressor_lib.export import load_keras
    from compressor_lib.measure import count_parameters

    return count_parameters(load_keras(directory))


def _pushed_path(pusher: NodeRun | None) -> str | None:
    if pusher is None:
        return None
    properties = pusher.outputs["pushed_model"].custom_properties
    destination = properties["pushed_destination"].string_value
    return destination if properties["pushed"].int_value and Path(destination).exists() else None


def render_results(results: Results) -> Table:
    """Sets both models side by side.

    Args:
        results: What to show.

    Returns:
        A table with a row for each figure.
    """
    before, after = results.reference, results.compressed
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
