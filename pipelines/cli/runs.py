"""The commands ``runs``, ``show`` and ``report``, which read past runs from ML Metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compressor_lib.deployment import phrases
from compressor_lib.deployment.family import member_of
from compressor_lib.errors import CompressorError, unknown
from pipelines.cli.exit_status import wrong_input_reported
from pipelines.cli.options import AsJson, ModelName
from pipelines.cli.output_capture import people_console, say
from pipelines.config.config import METADATA_FILE
from pipelines.results.lineage import LATEST, Lineage, NodeRun, Run, resolve_id
from pipelines.results.run_json import run_details, run_summary, verdict

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pipelines.results.outcome import Results
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


def runs(folder: Folder = Path("runs"), model: ModelName = None, as_json: AsJson = False) -> None:
    """Lists past runs with their time, data and results.

    Example: compressor runs runs/digits
    """
    with wrong_input_reported():
        found = [(output, lineage.runs()) for output, lineage in stores_in(folder)]
        if model is not None:
            _check_model(model, (run for _, known in found for run in known))
            found = [(output, [run for run in known if model in run.models]) for output, known in found]
    if as_json:
        typer.echo(json.dumps([run_summary(output, run) for output, known in found for run in known], indent=2))
        return
    console = people_console()
    for number, (output, known) in enumerate(found):
        if number:
            console.print()
        width = console.width if console.file.isatty() else None
        console.print(runs_table(str(output), known, width, model=model))


def show(
    id: RunId = LATEST, folder: FolderOption = Path("runs"), model: ModelName = None, as_json: AsJson = False
) -> None:
    """Shows one run: its figures, its verdict, and the inputs and outputs of each node.

    Example: compressor show latest --in runs/digits
    """
    from rich.text import Text

    console = people_console()
    with wrong_input_reported():
        output, run = find_run(folder, id)
        if model is not None:
            _check_model(model, [run])
        if as_json:
            typer.echo(json.dumps(run_details(output, run), indent=2))
            return
        for part in run_shown(run, model=model):
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


def _check_model(model: str, runs: Iterable[Run]) -> None:
    """Refuses a name that no model of these runs has."""
    names = dict.fromkeys(name for run in runs for name in run.models if name)
    if not names:
        raise CompressorError("there is no family of models here: leave out --model.")
    if model not in names:
        raise unknown("model", model, names)


def runs_table(output: str, runs: list[Run], width: int | None = None, *, model: str | None = None) -> RenderableType:
    """Builds a table with a row for each run, and for each model of a family in it, the newest last.

    Args:
        output: The output folder, which becomes the table's title.
        runs: Its runs.
        width: Number of columns of the terminal, where a run takes several lines. A narrow terminal gets short IDs and
            no parameters. None for unlimited width, as in a file: each run takes one line.
        model: Name of the only model to show; None for all.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from pipelines.results.outcome import kept_results

    new_line = " " if width is None else "\n"
    whole_ids, wide = (width is None or width >= least for least in (_WIDE_FOR_IDS, _WIDE))
    look = {"box": box.SIMPLE_HEAD, "show_edge": False, "pad_edge": False, "padding": (0, 1, 0, 0)}
    table = Table(title=output, title_justify="left", **look)  # type: ignore[arg-type]
    has_families = any("" not in run.models for run in runs)
    columns = {"when": "left", "run": "left", **({"model": "left"} if has_families else {})}
    columns |= {"reference accuracy": "right", "compressed accuracy": "right"}
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
        all_results, note = kept_results(run)
        for name in run.models if model is None else [model]:
            results = all_results.get(name)
            row |= {"model": name, **(_figures_shown(results, one_line=width is None) if results else {})}
            style = "green" if run.blessed_of(name) else "red" if run.state == "failed" else "yellow"
            words = "; ".join(filter(None, [verdict(run, name), note]))
            table.add_row(*(row.get(column, "") for column in columns), Text(words, style))
            row = {}  # the time and the ID are shown once
    return table


def _figures_shown(results: Results, *, one_line: bool) -> dict[str, str]:
    """Returns the figures in a model's row of the table, by column."""
    before, after = results.reference, results.compressed
    row = {}
    for role, figures in (("reference", before), ("compressed", after)):
        result = figures.result(results.verdict.confidence_shown)
        parts = phrases.accuracy_parts(result)
        row[f"{role} accuracy"] = phrases.accuracy(result) if one_line else "\n".join(parts)
    row["parameters"] = f"{before.parameters:,} -> {after.parameters:,}"
    row["saved"] = phrases.percent(1 - after.parameters / before.parameters)
    return row


def run_shown(run: Run, *, model: str | None = None) -> Iterator[RenderableType]:
    """Yields the parts of a run's description.

    Args:
        run: The run.
        model: Name of the only model to show; None for all.
    """
    from pipelines.results.outcome import kept_results, render_results

    span = "" if run.span is None else f", data of span {run.span}"
    yield f"run {run.id} of {run.pipeline}, {run.started:%a %Y-%m-%d %H:%M %Z}{span}: {verdict(run)}"
    all_results, note = kept_results(run)
    if note:
        yield f"  {note}"
    for name in run.models if model is None else [model]:
        if name:
            yield f"model {name}"
        if results := all_results.get(name):
            yield from (f"  {reason}" for reason in results.reasons)
            yield from (f"  what to do: {sentence}" for sentence in results.advice)
            yield render_results(results)
        pushed_path, pushed_at = run.pushed_path_of(name), run.pushed_at_of(name)
        if pushed_path and pushed_at:
            when = f"{pushed_at:%Y-%m-%d %H:%M}"
            yield f"{'pushed' if run.is_new else 'nothing new: pushed'} to {pushed_path}, {when}"
    yield ""
    makers = {
        artifact.id: f"{name}.{key}" for name, node in run.nodes.items() for key, artifact in node.outputs.items()
    }
    shown = {name: node for name, node in run.nodes.items() if model is None or member_of(name)[1] in ("", model)}
    yield from _nodes_shown(shown, makers)


def _nodes_shown(nodes: Mapping[str, NodeRun], makers: dict[int, str]) -> Iterator[RenderableType]:
    from rich.text import Text

    from pipelines.cli.progress_view import NODE_STYLES, spent
    from pipelines.results.node_results import result_of

    for name, node in nodes.items():
        seconds = spent(node.seconds) if node.state == "done" else ""
        result = result_of(node.outputs, cached=node.state == "cached") if node.ended_well else ""
        words = f"{name:<22} {node.state:<8} {'  '.join(filter(None, [seconds, result]))}"
        yield Text(words.rstrip(), NODE_STYLES[node.state])
        taken = dict.fromkeys(makers.get(artifact.id, artifact.uri) for artifact in node.inputs.values())
        if taken:
            yield f"  from {', '.join(taken)}"
        yield from (f"  made {key} {artifact.uri}" for key, artifact in node.outputs.items())
