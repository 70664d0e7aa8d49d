"""The command ``compressor``.

TensorFlow and TFX take many seconds to import, so they are imported by the commands that need them,
and only once the configuration has been found right.
"""

from __future__ import annotations

import json
import os
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from compressor_lib.errors import CompressorError
from pipelines.cli import platforms, runs, serving, validate
from pipelines.cli.exit_status import NOT_BLESSED, STOPPED, wrong_input_told
from pipelines.cli.options import AsJson, ConfigFile, DataFolder, OutputFolder, Overrides
from pipelines.cli.output_capture import say
from pipelines.cli.platform_options import Target
from pipelines.cli.run import new_log, tell, watched_run
from pipelines.execution.signals import end_at_last
from pipelines.execution.surroundings import prepare

app = typer.Typer(
    help="Finds the smallest sub-network of a pretrained CNN that keeps the accuracy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"auto-compressor {version('auto-compressor')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Finds the smallest sub-network of a pretrained CNN that keeps the accuracy."""


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
    with wrong_input_told():
        prepare()
    try:
        app()
    except SystemExit as end:
        if end.code == STOPPED:
            end_at_last(STOPPED, after=2.0)
        raise


@app.command()
def run(
    config: ConfigFile,
    runner: Annotated[Runner, typer.Option(help="What runs the nodes.")] = Runner.local,
    data: DataFolder = None,
    output: OutputFolder = None,
    overrides: Overrides = None,
    fail_on_gate: Annotated[
        bool, typer.Option("--fail-on-gate", help="Exit with 3 if the model is not blessed.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show all logs on the screen too.")] = False,
) -> None:
    """Compresses a model: from images to a pushed one, through the whole pipeline.

    Example: compressor run --config examples/pictures.yaml --data images --set search.tau=0.9
    """
    with wrong_input_told():
        from pipelines.config.config import load_config
        from pipelines.config.vertex import check_not_asked_for
        from pipelines.execution.preflight import check_installed
        from pipelines.results.locks import OutputLock

        loaded = load_config(config, overrides or (), paths={"data.path": data, "output": output})
        check_not_asked_for(loaded.vertex)
        check_installed()
        log = new_log(loaded)
        with OutputLock(loaded.output).held() as lock:
            results = watched_run(loaded, runner.value, log, verbose, lock)
    tell(results, loaded.output)
    if fail_on_gate and not results.blessed:
        raise typer.Exit(NOT_BLESSED)


@app.command("compile")
def compile_pipeline(
    config: ConfigFile,
    target: Annotated[Target, typer.Option(help="The platform.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The package: .yaml or .json.")],
    image: Annotated[str, typer.Option(metavar="REF", help="The image that every node runs in, best by digest.")],
    pipeline_root: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Replaces output; Kubeflow has one of its own where output is a folder here."),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Compiles the pipeline into a package for Kubeflow Pipelines or Vertex AI.

    Example: compressor compile -c examples/pictures.yaml --target kubeflow -o pictures.yaml --image registry/name:1
    """
    with wrong_input_told():
        from pipelines.cli.output_capture import captured
        from pipelines.config.config import load_config
        from pipelines.config.remote_values import check_pipeline_root
        from pipelines.execution.preflight import check_installed
        from pipelines.kubeflow.package import compile_package

        if pipeline_root is not None:
            check_pipeline_root(pipeline_root, target.value)
        loaded = load_config(config, overrides or (), paths={"output": pipeline_root})
        check_installed()
        with captured(Path(os.devnull)):
            from pipelines.execution.code_version import code_version

            package = compile_package(loaded, target.value, image=image, code_version=code_version())
        try:
            output.write_text(package)
        except OSError as error:
            raise CompressorError(f"package {str(output)!r} cannot be written: {error.strerror}") from error
    typer.echo(f"{output}: pipeline {loaded.name} for {target.value}, in {image}")
    if target is Target.kubeflow and loaded.remote_root is None:
        typer.echo("artifacts go to the cluster's own pipeline root, of the ConfigMap kfp-launcher")


app.command()(validate.validate)
app.command()(runs.runs)
app.command()(runs.show)
app.command()(runs.report)
app.command()(serving.predict)
app.command()(serving.rollback)
app.command()(platforms.submit)
app.command()(platforms.doctor)
app.add_typer(platforms.schedules, name="schedule")


@app.command()
def backbones(as_json: AsJson = False) -> None:
    """Lists the networks that can be compressed.

    Example: compressor backbones
    """
    from rich.table import Table

    from compressor_lib.deployment import phrases
    from compressor_lib.networks.backbones import BACKBONES
    from pipelines.cli.output_capture import people_console

    if as_json:
        listed = [
            {
                "name": one.name,
                "pixels": one.default_size,
                "parameters": one.parameters,
                "connections": one.grid,
                "imagenet_accuracy": one.imagenet_accuracy,
                "macs": one.macs,
            }
            for one in BACKBONES.values()
        ]
        typer.echo(json.dumps(listed, indent=2))
        return
    table = Table(
        "backbone",
        title="Parameters without top; connections as published; accuracy on ImageNet and MACs as Keras publishes them",
    )
    for column in ("pixels", "parameters", "connections", "ImageNet top-1", "MACs"):
        table.add_column(column, justify="right")
    for backbone in BACKBONES.values():
        table.add_row(
            backbone.name,
            str(backbone.default_size),
            f"{backbone.parameters:,}",
            str(backbone.grid),
            "" if backbone.imagenet_accuracy is None else phrases.percent(backbone.imagenet_accuracy),
            "" if backbone.macs is None else f"{backbone.macs / 1e6:,.0f}M",
        )
    people_console().print(table)


@app.command()
def repair(output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The output folder of a run.")]) -> None:
    """Puts a copy in the place of a damaged metadata store; artifacts and models stay as they are.

    Example: compressor repair runs/digits
    """
    with wrong_input_told():
        from pipelines.config.config import METADATA_FILE
        from pipelines.execution.metadata_store import repair
        from pipelines.results.locks import OutputLock

        store = output / METADATA_FILE
        if not any(output.glob(f"{METADATA_FILE}*")):  # a copy alone can be put in its place
            raise CompressorError(f"there is no run in '{output}': give the output folder of one.")
        with OutputLock(str(output)).held():
            told = repair(str(store))
    say(told)
