"""The command ``compressor``.

TensorFlow and TFX take many seconds to import, so only the commands that need them import them, once the configuration
is known to be valid.
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
from pipelines.cli import latency_table, platforms, runs, serving, validate
from pipelines.cli.exit_status import NOT_BLESSED, STOPPED, wrong_input_reported
from pipelines.cli.options import AsJson, ConfigFile, DataFolder, OutputFolder, Overrides
from pipelines.cli.output_capture import say
from pipelines.cli.platform_options import Target
from pipelines.cli.run import new_log, show_results, watched_run
from pipelines.execution.signals import end_at_last

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
    """Runner of the nodes."""

    local = "local"
    beam = "beam"


def main() -> None:
    """Runs the command line."""
    # By default TensorFlow returns each large tensor to the system and touches new pages for the next one, which takes
    # a third of a training step's CPU time. Its own arena avoids that. TensorFlow reads this at its first allocation.
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    # Processes that Beam starts write to the screen instead of the log file.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        app()
    except SystemExit as end:
        if end.code == STOPPED:
            end_at_last(STOPPED, after=2.0)
        raise


@app.command()
def run(
    config: ConfigFile,
    runner: Annotated[Runner, typer.Option(help="Runner of the nodes.")] = Runner.local,
    data: DataFolder = None,
    output: OutputFolder = None,
    overrides: Overrides = None,
    fail_on_gate: Annotated[
        bool, typer.Option("--fail-on-gate", help="Exit with 3 if a model is not blessed.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also show all logs on the screen.")] = False,
) -> None:
    """Runs the whole pipeline, from images to a compressed model that is pushed.

    Example: compressor run --config examples/pictures.yaml --data images --set search.tau=0.9
    """
    with wrong_input_reported():
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
    show_results(results, loaded.output)
    if fail_on_gate and not all(one.blessed for one in results.values()):
        raise typer.Exit(NOT_BLESSED)


@app.command("compile")
def compile_pipeline(
    config: ConfigFile,
    target: Annotated[Target, typer.Option(help="The platform.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The package to write: .yaml or .json.")
    ],
    image: Annotated[str, typer.Option(metavar="REF", help="Container image of all nodes, preferably by digest.")],
    pipeline_root: Annotated[
        str | None,
        typer.Option(
            metavar="URI", help="Replaces output. With a local output folder, Kubeflow uses the cluster's own root."
        ),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Compiles the pipeline into a package for Kubeflow Pipelines or Vertex AI.

    Example: compressor compile -c examples/pictures.yaml --target kubeflow -o pictures.yaml --image registry/name:1
    """
    with wrong_input_reported():
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
            raise CompressorError(
                f"package {str(output)!r} cannot be written ({error.strerror}): choose another file with --output."
            ) from error
    typer.echo(f"{output}: pipeline {loaded.name} for {target.value}, image {image}")
    if target is Target.kubeflow and loaded.remote_root is None:
        typer.echo("artifacts go to the cluster's own pipeline root (ConfigMap kfp-launcher)")


app.command()(validate.validate)
app.command()(latency_table.latency_table)
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
        title="Parameters without the top; published connections; ImageNet accuracy and MACs as Keras publishes them",
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
    """Replaces a damaged metadata store by its copy. Artifacts and models are not changed.

    Example: compressor repair runs/digits
    """
    with wrong_input_reported():
        from pipelines.config.config import METADATA_FILE
        from pipelines.execution.metadata_store import repair
        from pipelines.results.locks import OutputLock

        store = output / METADATA_FILE
        if not any(output.glob(f"{METADATA_FILE}*")):  # a copy alone is enough
            raise CompressorError(f"there is no run in '{output}': give the output folder of a run.")
        with OutputLock(str(output)).held():
            done = repair(str(store))
    say(done)
