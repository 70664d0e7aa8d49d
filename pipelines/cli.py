"""The command ``compressor``.

TensorFlow and TFX take many seconds to import, so they are imported by the commands that need them,
and only once the configuration has been found right.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compressor_lib.errors import CompressorError
from pipelines import deployed, history
from pipelines.exit_status import FAILED, NOT_BLESSED, STOPPED, ended, wrong_input_told
from pipelines.remote import commands as remote
from pipelines.remote.choice import Target

if TYPE_CHECKING:
    from pipelines.config import Config
    from pipelines.events import Events
    from pipelines.locks import OutputLock
    from pipelines.results import Results

_STOPPED = "stopped; what was finished, nodes and trials, is kept; run the same command to go on"

app = typer.Typer(
    help="Finds the smallest sub-network of a pretrained CNN that keeps the accuracy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def complete_field(incomplete: str) -> list[str]:
    """The fields of a configuration that begin so, for the shell."""
    from pipelines.config import Config
    from pipelines.config_errors import all_fields

    return [f"{field}=" for field in all_fields(Config) if field.startswith(incomplete)]


ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="The run's YAML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replaces one value, as in search.tau=0.9.",
        autocompletion=complete_field,
    ),
]


class Runner(str, Enum):
    """What runs the nodes."""

    local = "local"
    beam = "beam"


def main() -> None:
    """Runs the command line."""
    # By default TensorFlow returns each large tensor to the system and touches new pages for the next, which takes
    # a third of a training step's CPU time; from an arena of its own it does not. Read at its first allocation.
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    # Processes that Beam starts write past the log file.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        app()
    except SystemExit as end:
        if end.code == STOPPED:
            _end_at_last(after=2.0)
        raise


@app.command()
def run(
    config: ConfigFile,
    runner: Annotated[Runner, typer.Option(help="What runs the nodes.")] = Runner.local,
    data: Annotated[str | None, typer.Option(metavar="DIR", help="Replaces data.path.")] = None,
    output: Annotated[str | None, typer.Option(metavar="DIR", help="Replaces output.")] = None,
    overrides: Overrides = None,
    fail_on_gate: Annotated[
        bool, typer.Option("--fail-on-gate", help="Exit with 3 if the model is not blessed.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show all logs on the screen too.")] = False,
) -> None:
    """Compresses a model: from pictures to a pushed one, through the whole pipeline.

    Example: compressor run --config examples/pictures.yaml --data pictures --set search.tau=0.9
    """
    with wrong_input_told():
        from pipelines.config import load_config

        replaced = [
            f"{field}={json.dumps(path)}"
            for field, path in (("data.path", data), ("output", output))
            if path is not None
        ]
        from pipelines.locks import OutputLock
        from pipelines.preflight import check_installed
        from pipelines.vertex import check_not_asked_for

        loaded = load_config(config, [*(overrides or ()), *replaced])
        check_not_asked_for(loaded.vertex)
        check_installed()
        log = _new_log(loaded)
        with OutputLock(loaded.output).held() as lock:
            results = _watched_run(loaded, runner.value, log, verbose, lock)
    _tell(results)
    if fail_on_gate and not results.blessed:
        raise typer.Exit(NOT_BLESSED)


@app.command("compile")
def compile_pipeline(
    config: ConfigFile,
    target: Annotated[Target, typer.Option(help="The platform.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The package: .yaml or .json.")],
    image: Annotated[str, typer.Option(metavar="REF", help="The image that every node runs in, best by digest.")],
    pipeline_root: Annotated[str | None, typer.Option(metavar="URI", help="Replaces output.")] = None,
    overrides: Overrides = None,
) -> None:
    """Compiles the pipeline into a package for Kubeflow Pipelines or Vertex AI.

    Example: compressor compile -c examples/pictures.yaml --target kubeflow -o pictures.yaml --image registry/name:1
    """
    with wrong_input_told():
        from pipelines.config import load_config
        from pipelines.console import captured
        from pipelines.kubeflow.package import compile_package
        from pipelines.preflight import check_installed

        loaded = load_config(config, [*(overrides or ()), *([f"output={pipeline_root}"] if pipeline_root else ())])
        check_installed()
        with captured(Path(os.devnull)):
            from pipelines.code_version import code_version

            package = compile_package(loaded, target.value, image=image, code_version=code_version())
        try:
            output.write_text(package)
        except OSError as error:
            raise CompressorError(f"package {str(output)!r} cannot be written: {error.strerror}") from error
    typer.echo(f"{output}: pipeline {loaded.name} for {target.value}, in {image}")


app.command()(history.runs)
app.command()(history.show)
app.command()(history.report)
app.command()(deployed.predict)
app.command()(deployed.rollback)
app.command()(remote.submit)
app.command()(remote.doctor)
app.add_typer(remote.schedules, name="schedule")


@app.command()
def validate(config: ConfigFile, overrides: Overrides = None) -> None:
    """Checks a configuration, its network and connections, and runs nothing.

    Example: compressor validate --config examples/digits.yaml --set search.tau=0.9
    """
    with wrong_input_told():
        from pipelines.config import load_config
        from pipelines.console import captured
        from pipelines.preflight import check_network

        loaded = load_config(config, overrides or ())
        with captured(Path(os.devnull)):  # TensorFlow's warnings are of no use here
            check_network(loaded, download=False)
    typer.echo(f"{config} is right.")


@app.command()
def backbones() -> None:
    """Lists the networks that can be compressed.

    Example: compressor backbones
    """
    from rich.console import Console
    from rich.table import Table

    from compressor_lib.backbones import BACKBONES

    table = Table("backbone", title="Without top; connections as published")
    for column in ("pixels", "parameters", "connections"):
        table.add_column(column, justify="right")
    for backbone in BACKBONES.values():
        table.add_row(
            backbone.name,
            str(backbone.default_size),
            f"{backbone.parameters:,}",
            str(backbone.grid),
        )
    Console().print(table)


@app.command()
def repair(output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The output folder of a run.")]) -> None:
    """Puts a copy in the place of a damaged metadata store; artifacts and models stay as they are.

    Example: compressor repair runs/digits
    """
    with wrong_input_told():
        from pipelines.locks import OutputLock
        from pipelines.metadata_store import repair

        store = output / "metadata.sqlite"
        if not store.is_file():
            raise CompressorError(f"there is no run in '{output}': give the output folder of one.")
        with OutputLock(str(output)).held():
            told = repair(str(store))
    typer.echo(told)


def _new_log(config: Config) -> Path:
    """Makes the output folder, which must take files, and names the run's log in it."""
    if "://" in config.output:
        raise CompressorError(f"output {config.output!r} is not on this machine: give a local folder by --output.")
    logs = Path(config.output) / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        for folder in (config.output, logs):
            tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise CompressorError(
            f"output {config.output!r} cannot be written to ({error.strerror}): "
            "give another folder by --output, or the right to write there."
        ) from error
    return logs / f"{datetime.now():%Y%m%d-%H%M%S}.log"


def _watched_run(config: Config, runner: str, log: Path, verbose: bool, lock: OutputLock) -> Results:
    """Runs the pipeline on a clean screen; ends the command where a node fails."""
    from pipelines.advice import advice
    from pipelines.console import captured
    from pipelines.events import Events, EventsFile
    from pipelines.runners import NodeFailure, explain
    from pipelines.screen import LiveView, PlainLines, can_be_live
    from pipelines.stopping import ended_in_time

    typer.echo(f"pipeline {config.name} on {runner}\noutput   {config.output}\nlog      {log}")
    try:
        with ended_in_time(_stop_at_once()), captured(log, verbose=verbose) as console, ExitStack() as stack:
            # Other output would tear a live view.
            live = can_be_live(console) and not verbose
            view = stack.enter_context(LiveView(console)) if live else PlainLines(console)
            events_file = EventsFile(Path(config.output) / "events.jsonl")
            return _run(config, runner, stack.enter_context(Events(view, events_file, ticks=live)), lock)
    except KeyboardInterrupt:
        raise ended(STOPPED, _STOPPED) from None
    except NodeFailure as failure:
        raise ended(FAILED, f"error: {failure}\nwhat to do: {advice(failure)}\nlog: {log}") from failure
    except CompressorError:
        raise
    except Exception as error:
        raise ended(FAILED, f"error: {explain(error)}\nwhat to do: {advice(error)}\nlog: {log}") from error


def _stop_at_once() -> Callable[[], None]:
    """What ends the process where a library does not let go; it tells so on what is the screen now."""
    screen = os.dup(2)

    def stop() -> None:
        os.write(screen, f"{_STOPPED}\n".encode())
        os._exit(STOPPED)

    return stop


def _end_at_last(after: float) -> None:
    """Ends the process in some seconds, even if threads of libraries go on."""
    timer = threading.Timer(after, os._exit, [STOPPED])
    timer.daemon = True
    timer.start()


def _run(config: Config, runner: str, events: Events, lock: OutputLock) -> Results:
    """The run itself, from data to results."""
    from pipelines import metadata_store, runners
    from pipelines.code_version import code_version
    from pipelines.digits import write_digits

    if config.data.source == "digits":
        write_digits(config.data_path)
    for line in metadata_store.prepare(config.metadata_path, config.pipeline_root):
        events.say(line)
    events.doing("loading TensorFlow and TFX")
    from pipelines import results
    from pipelines.pipeline import create_pipeline
    from pipelines.preflight import check_network, check_pictures

    check_pictures(config)
    check_network(config)
    pipeline = create_pipeline(config, code_version=code_version())
    events.begin([component.id for component in pipeline.components])
    runners.run(pipeline, runner, events, seed=config.seed, check=lock.check)
    metadata_store.keep_copy(config.metadata_path)
    if not events.worked:
        events.say("nothing is new since the last run: nothing was trained, and nothing is pushed again")
    events.doing("writing the report")
    return results.conclude(config)


def _tell(results: Results) -> None:
    """Prints the table and the verdict."""
    from rich.console import Console
    from rich.text import Text

    from pipelines.results import render_results

    console = Console(highlight=False)
    console.print(render_results(results))
    if results.blessed:
        console.print(Text("blessed", style="bold green"))
    else:
        console.print(Text("not blessed: nothing was pushed", style="bold red"))
    for reason in results.reasons:
        console.print(Text(f"  {reason}"), soft_wrap=True)
    if results.pushed_path:
        console.print(Text(f"pushed to {results.pushed_path}"), soft_wrap=True)


if __name__ == "__main__":
    main()
