"""What a run came to: the compressed model beside its reference, and the gate's verdict."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True)
class ModelFigures:
    """What is measured of one model.

    Attributes:
        accuracy: Share of the test split's pictures named rightly, 0 to 1.
        parameters: Number of parameters, the head's included.
        bytes: Size of the exported model.
        milliseconds: Time for one picture.
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
        ("size in bytes", before.bytes, after.bytes, "{:,}"),
        ("ms a picture", before.milliseconds, after.milliseconds, "{:.2f}"),
    )
    for name, old, new, form in rows:
        table.add_row(name, form.format(old), form.format(new), f"{new / old - 1:+.1%}")
    compression = 1 - after.parameters / before.parameters
    table.add_row("compression", "", f"{compression:.1%}", "", style="bold")
    return table
