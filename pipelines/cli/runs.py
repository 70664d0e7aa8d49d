"""The commands ``runs``, ``show`` and ``report``, which read past runs from ML Metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compressor_lib.deployment import phrases
from compressor_lib.errors import CompressorError
from pipelines.cli.exit_status import wrong_input_reported
from pipelines.cli.options import AsJson
from pipelines.cli.output_capture import people_console, say
from pipelines.config.config import METADATA_FILE
from pipelines.results.lineage import LATEST, Lineage, Run, resolve_id
from pipelines.results.run_json import run_details, run_summary, verdict

if TYPE_CHECKING:
    from rich.console import RenderableType
ID_LENGTH = 6
"""Number of characters at the end of a run's ID that identify it."""

_WIDE_FOR_IDS, _WIDE = 110, 130
"""Minimum terminal widths, in columns, to show whole IDs, and to show the parameters as well."""


def complete_run(incomplete: str) -> list[str]:
    """Shell completion: short IDs of the runs in ``runs`` that start with a text."""
    try:
        known = [run.id[-ID_LENGTH:] for _, lineage in stores_in(Path("runs")) for run in lineage.runs()]
    except CompressorError:
        return []
    return [id for id in [LATEST, *known] if id.startswith(incomplete)]


_FOLDER = "An output folder, or a folder of output folders."
Folder = Annotated[Path, typer.Argument(metavar="[DIR]", help=_FOLDER)]
FolderOption = Annotated[Path, typer.Option("--in", metavar="DIR", help=_FOLDER)]
RunId = Annotated[
    str, typer.Argument(metavar="[RUN]", help="The run's ID or its end, or 'latest'.", autocompletion=complete_run)
]


def runs(folder: Folder = Path("runs"), as_json: AsJson = False) -> None:
    """Lists past runs with their time, data and results.

    Example: compressor runs runs/digits
    """
    with wrong_input_reported():
        found = [(output, lineage.runs()) for output, lineage in stores_in(folder)]
    if as_json:
        typer.echo(json.dumps([run_summary(output, run) for output, known in found for run in known], indent=2))
        return
    console = people_console()
    for number, (output, known) in enumerate(found):
        if number:
            console.print()
        console.print(runs_table(str(output), known, console.width if console.file.isatty() else None))


def show(id: RunId = LATEST, folder: FolderOption = Path("runs"), as_json: AsJson = False) -> None:
    """Shows one run: its figures, its verdict, and the inputs and outputs of each node.

    Example: compressor show latest --in runs/digits
    """
    from rich.text import Text

    console = people_console()
    with wrong_input_reported():
        output, run = find_run(folder, id)
        if as_json:
            typer.echo(json.dumps(run_details(output, run), indent=2))
            return
        for part in run_shown(run):
            if isinstance(part, str | Text):
                say(str(part), str(part.style) if isinstance(part, Text) else "")
            else:
                console.print(part)


def report(id: RunId = LATEST, folder: FolderOption = Path("runs")) -> None:
    """Writes a run's report again: report.html, in the run's output folder.

    Example: compressor report latest --in runs/digits
    """
    from pipelines.results.report import write_report

    with wrong_input_reported():
        output, run = find_run(folder, id)
        page = write_report(run, output)
    typer.echo(str(page))


def stores_in(folder: Path) -> list[tuple[Path, Lineage]]:
    """Finds the output folders at or directly in a folder, with their runs.

    Raises:
        CompressorError: If there are none.
    """
    outputs = [path.parent for path in [folder / METADATA_FILE, *sorted(folder.glob(f"*/{METADATA_FILE}"))]]
    found = [(output, Lineage(output / METADATA_FILE)) for output in outputs if (output / METADATA_FILE).is_file()]
    if not found:
        raise CompressorError(f"there are no runs in {str(folder)!r}: give the output folder of a run.")
    return found


def find_run(folder: Path, id: str) -> tuple[Path, Run]:
    """Finds the run with an ID, or the newest one for ``"latest"``, and its output folder.

    Raises:
        CompressorError: If no run matches, or several do.
    """
    known = {run.id: (output, run) for output, lineage in stores_in(folder) for run in lineage.runs()}
    return known[resolve_id(id, known)]


def runs_table(output: str, runs: list[Run], width: int | None = None) -> RenderableType:
    """Builds a table with a row for each run, the newest last.

    Args:
        output: The output folder, which becomes the table's title.
        runs: Its runs.
        width: Number of columns of the terminal, where a run takes several lines. A narrow terminal gets short IDs and
            no parameters. None for unlimited width, as in a file: each run takes one line.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from pipelines.results.outcome import kept_results

    new_line = " " if width is None else "\n"
    whole_ids, wide = (width is None or width >= least for least in (_WIDE_FOR_IDS, _WIDE))
    look = {"box": box.SIMPLE_HEAD, "show_edge": False, "pad_edge": False, "padding": (0, 1, 0, 0)}
    table = Table(title=output, title_justify="left", **look)  # type: ignore[arg-type]
    columns = {"when": "left", "run": "left", "reference accuracy": "right", "compressed accuracy": "right"}
    columns |= {"parameters": "right"} if wide else {}
    columns["saved"] = "right"
    for column, side in columns.items():
        table.add_column(column.replace(" ", new_line), justify=side, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("verdict", overflow="fold")
    for run in runs:
        span = "" if run.span is None else f"{new_line}span {run.span}"
        row = {
            "when": f"{run.started:%Y-%m-%d}{' ' if whole_ids else new_line}{run.started:%H:%M}{span}",
            "run": run.id if whole_ids else run.id[-ID_LENGTH:],
        }
        results, note = kept_results(run)
        if results:
            before, after = results.reference, results.compressed
            for role, figures in (("reference", before), ("compressed", after)):
                result = figures.result(results.verdict.confidence_shown)
                one_line, parts = phrases.accuracy(result), phrases.accuracy_parts(result)
                row[f"{role} accuracy"] = one_line if width is None else "\n".join(parts)
            row["parameters"] = f"{before.parameters:,} -> {after.parameters:,}"
            row["saved"] = phrases.percent(1 - after.parameters / before.parameters)
        style = "green" if run.blessed else "red" if run.state == "failed" else "yellow"
        table.add_row(
            *(row.get(name, "") for name in columns),
            Text("; ".join(filter(None, [verdict(run), note])), style),
        )
    return table


def run_shown(run: Run) -> Iterator[RenderableType]:
    """Yields the parts of a run's description."""
    from pipelines.results.outcome import kept_results, render_results

    span = "" if run.span is None else f", data of span {run.span}"
    yield f"run {run.id} of {run.pipeline}, {run.started:%a %Y-%m-%d %H:%M %Z}{span}: {verdict(run)}"
    results, note = kept_results(run)
    if note:
        yield f"  {note}"
    if results:
        yield from (f"  {reason}" for reason in results.reasons)
        yield from (f"  what to do: {sentence}" for sentence in results.advice)
        yield render_results(results)
    if run.pushed_path and run.pushed_at:
        when = f"{run.pushed_at:%Y-%m-%d %H:%M}"
        yield f"{'pushed' if run.is_new else 'nothing new: pushed'} to {run.pushed_path}, {when}"
    yield ""
    makers = {
        artifact.id: f"{name}.{key}" for name, node in run.nodes.items() for key, artifact in node.outputs.items()
    }
    yield from _nodes_shown(run, makers)


def _nodes_shown(run: Run, makers: dict[int, str]) -> Iterator[RenderableType]:
    from rich.text import Text

    from pipelines.cli.progress_view import NODE_STYLES, spent
    from pipelines.results.node_results import result_of

    for name, node in run.nodes.items():
        seconds = spent(node.seconds) if node.state == "done" else ""
        result = result_of(node.outputs, cached=node.state == "cached") if node.ended_well else ""
        words = f"{name:<22} {node.state:<8} {'  '.join(filter(None, [seconds, result]))}"
        yield Text(words.rstrip(), NODE_STYLES[node.state])
        taken = dict.fromkeys(makers.get(artifact.id, artifact.uri) for artifact in node.inputs.values())
        if taken:
            yield f"  from {', '.join(taken)}"
        yield from (f"  made {key} {artifact.uri}" for key, artifact in node.outputs.items())
