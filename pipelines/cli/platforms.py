"""The commands ``compressor submit``, ``compressor doctor`` and ``compressor schedule``."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from compressor_lib.errors import CompressorError, unknown
from pipelines.cli.exit_status import FAILED, NOT_FOLLOWED, STOPPED, WRONG_INPUT, ended
from pipelines.cli.options import OutputFolder, Overrides
from pipelines.cli.output_capture import captured, say
from pipelines.cli.platform_options import Choice, Place, Target, chosen_from
from pipelines.kubeflow.new_data import ONLY_NEW
from pipelines.platforms.base import GoneError, Platform, Progress, RemoteRun, Schedule, State
from pipelines.platforms.cron import Cron
from pipelines.platforms.schedulers import SchedulerName

POLL = 10.0
"""Seconds between two requests for a run's progress."""

STATUS_ATTEMPTS = 6
"""Number of requests in a row that must fail before the command stops following a run."""

PackageArgument = Annotated[Path, typer.Argument(metavar="PACKAGE", help="A package that compressor compile wrote.")]
Parameters = Annotated[
    list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A runtime parameter, such as tau=0.8.")
]
PipelineRoot = Annotated[
    str | None,
    typer.Option(metavar="URI", help="Where artifacts go; default: as compiled, or the platform's own root."),
]
AnyVersion = Annotated[bool, typer.Option("--any-version", help="Accept a package that another version compiled.")]
Name = Annotated[str, typer.Argument(help="The schedule's name.")]


@chosen_from(Target)
def submit(
    choice: Choice,
    package: PackageArgument,
    param: Parameters = None,
    pipeline_root: PipelineRoot = None,
    caching: Annotated[bool, typer.Option("--cache/--no-cache", help="Reuse cached results of nodes.")] = True,
    any_version: AnyVersion = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run until it ends.")] = False,
) -> None:
    """Starts a run of a package, and prints where to watch it.

    Example: compressor submit pictures.yaml --target kubeflow --host http://localhost:8080 --param tau=0.9 --wait
    """
    file, values = choice.package(package, param, any_version=any_version)
    root = file.pipeline_root(pipeline_root)
    platform = choice.connect()
    run = platform.submit(package, name=file.name, parameters=values, pipeline_root=root, caching=caching)
    _print_run(run)
    if wait:
        _follow(platform, run, file.nodes)


@chosen_from(Target, default=None)
def doctor(
    choice: Choice,
    package: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PACKAGE]", help="A package that compressor compile wrote; default: check this machine."
        ),
    ] = None,
    any_version: AnyVersion = False,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="For this machine: a run's YAML file; default: MobileNetV2.")
    ] = None,
    output: OutputFolder = None,
    overrides: Overrides = None,
) -> None:
    """Checks that this machine, or a package's platform, has everything that a run needs. Exits with 2 if not.

    Example: compressor doctor pictures.yaml --target kubeflow --host http://localhost:8080
    """
    if package is None:
        _examine_machine(config, output, overrides)
        return
    if choice.target is None:
        raise CompressorError("a package is checked on its platform: give --target kubeflow or --target vertex.")
    from pipelines.execution.code_version import code_version
    from pipelines.platforms.doctor import Needs, examine

    needs = Needs(
        package, choice.target.value, choice.connect, None if any_version else code_version(), choice.project,
        choice.service_account,
    )  # fmt: skip
    missing = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Google's libraries issue many that do not matter here
        for check in examine(needs):
            say(str(check))
            missing = missing or check.ok is False
    if missing:
        raise typer.Exit(WRONG_INPUT)


def _examine_machine(config: Path | None, output: str | None, overrides: list[str] | None) -> None:
    """Prints a line for each thing that a run needs of this machine; exits with an error status if one is missing."""
    from pipelines.config.config import BackboneConfig, load_config
    from pipelines.execution.machine import PROBLEM, examine

    if config is None and overrides:
        raise CompressorError("--set replaces values of a configuration: give one with --config.")
    loaded = load_config(config, overrides or (), paths={"output": output}) if config else None
    backbone = loaded.backbone if loaded else BackboneConfig(name="MobileNetV2")
    folder = loaded.output if loaded else (output or "runs")
    findings = examine(folder, backbone)
    problems = False
    while True:
        with captured(Path(os.devnull)):  # hides TensorFlow's warnings
            finding = next(findings, None)
        if finding is None:
            break
        say(str(finding))
        problems = problems or finding.grade == PROBLEM
    if problems:
        raise typer.Exit(WRONG_INPUT)


schedules = typer.Typer(no_args_is_help=True, help="Schedules runs on a platform, or on this machine.")


@schedules.command()
@chosen_from(Place, default=Place.local)
def create(
    choice: Choice,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A package; with --target local, a run's YAML file.")],
    cron: Annotated[str, typer.Option(help="Minute, hour, day, month, weekday, as in '0 3 * * 1', or @weekly.")],
    name: Annotated[str | None, typer.Option(help="The schedule's name; default: the pipeline's name.")] = None,
    time_zone: Annotated[
        str, typer.Option(help="Time zone of --cron, such as Europe/Berlin; kubeflow always uses its own.")
    ] = "UTC",
    param: Parameters = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="local: replaces one value, as for run.")
    ] = None,
    pipeline_root: PipelineRoot = None,
    any_version: AnyVersion = False,
    scheduler: Annotated[
        SchedulerName | None,
        typer.Option(help="local: what starts the runs; default: the first that is available on this machine."),
    ] = None,
) -> None:
    """Schedules runs of a package, or of a configuration on this machine, at most one at a time.

    On this machine, which is the default, a systemd timer or a crontab line starts the runs. If neither is available,
    compressor schedule serve starts them while it runs.

    Example: compressor schedule create examples/pictures.yaml --cron "0 3 * * 1" --set data.path=/data/images

    Elsewhere: compressor schedule create package.yaml --target kubeflow --host http://localhost:8080 --cron "0 3 * * 1"
    """
    when = Cron.parse(cron, time_zone)
    if choice.target is Place.local:
        from pipelines.config.config import load_config

        name = name or load_config(file, overrides or ()).name
        local = choice.local
        _print_schedule(local.create(file, name=name, cron=when, overrides=overrides or (), scheduler=scheduler))
        typer.echo(local.state(name))
        return
    package, values = choice.package(file, param, any_version=any_version)
    if ONLY_NEW in package.kinds:
        values = {ONLY_NEW: 1, **values}
    root = package.pipeline_root(pipeline_root)
    made = choice.connect().create_schedule(
        file, name=name or package.name, cron=when, parameters=values, pipeline_root=root
    )
    _print_schedule(made)
    if choice.target is Place.kubeflow:
        typer.echo("times are in the cluster's time zone: UTC, unless CRON_SCHEDULE_TIMEZONE is set there")


@schedules.command("list")
@chosen_from(Place, default=Place.local)
def list_schedules(choice: Choice) -> None:
    """Lists the schedules of a platform.

    Example: compressor schedule list
    """
    known = choice.schedules.schedules()
    if not known:
        say("no schedules; 'compressor schedule create' creates one", err=True)
    for schedule in known:
        state = "paused" if schedule.paused else _shown(schedule.next_run)
        typer.echo(f"{schedule.name}  {schedule.cron.fields} {schedule.cron.time_zone}  {state}")


@schedules.command()
@chosen_from(Place, default=Place.local)
def show(choice: Choice, name: Name) -> None:
    """Shows a schedule, its next three start times and, on this machine, what starts its runs.

    Example: compressor schedule show images
    """
    known = {schedule.name: schedule for schedule in choice.schedules.schedules()}
    if name not in known:
        raise unknown("schedule", name, known)
    _print_schedule(known[name])
    if choice.target is Place.local:
        typer.echo(choice.local.state(name))


@schedules.command()
@chosen_from(Place, default=Place.local)
def pause(choice: Choice, name: Name) -> None:
    """Pauses a schedule: it starts no more runs until it is resumed.

    Example: compressor schedule pause images
    """
    choice.schedules.pause(name)
    typer.echo(f"{name} is paused")


@schedules.command()
@chosen_from(Place, default=Place.local)
def resume(choice: Choice, name: Name) -> None:
    """Resumes a paused schedule. Missed runs are not made up for.

    Example: compressor schedule resume images
    """
    choice.schedules.resume(name)
    typer.echo(f"{name} is resumed")


@schedules.command()
@chosen_from(Place, default=Place.local)
def delete(choice: Choice, name: Name) -> None:
    """Deletes a schedule. Its runs are kept.

    Example: compressor schedule delete images
    """
    choice.schedules.delete(name)
    typer.echo(f"{name} is deleted")


@schedules.command("run-now")
@chosen_from(Place, default=Place.local)
def run_now(
    choice: Choice,
    name: Name,
    scheduled: Annotated[
        bool, typer.Option("--scheduled", help="local: used by cron and systemd; sends the output to the log.")
    ] = False,
) -> None:
    """Starts a scheduled run now; on this machine, waits until it ends.

    Example: compressor schedule run-now images
    """
    if choice.target is Place.local:
        return choice.local.run_now(name, scheduled=scheduled)
    _print_run(choice.connect().run_now(name))


@schedules.command()
@chosen_from(Place, default=Place.local)
def serve(choice: Choice) -> None:
    """Starts due runs of the schedules that neither systemd nor cron starts, until Ctrl-C.

    Example: compressor schedule serve
    """
    local = choice.local
    from pipelines.platforms.serve import Server

    Server(local).serve()


def _print_run(run: RemoteRun) -> None:
    typer.echo(f"run   {run.id}\nwatch {run.link}")


def _print_schedule(schedule: Schedule) -> None:
    typer.echo(f"{schedule.name}: {schedule.cron.fields}, {schedule.cron.time_zone} ({schedule.id})")
    if schedule.paused:
        typer.echo("paused")
        return
    for time_of_run in schedule.cron.next_runs(3):
        typer.echo(f"next  {_shown(time_of_run)}")


def _shown(when: datetime | None) -> str:
    return f"{when:%a %Y-%m-%d %H:%M %Z}" if when else "never"


def _follow(platform: Platform, run: RemoteRun, order: Sequence[str]) -> None:
    """Prints changes of the nodes' states until the run ends.

    Args:
        platform: The platform.
        run: The run.
        order: The package's nodes, in the order in which they are printed.

    Raises:
        typer.Exit: If the run failed, or can no longer be followed.
    """
    shown: dict[str, State] = {}
    asked_once_more = False
    try:
        while True:
            progress = _progress_of(platform, run)
            nodes = {node: progress.nodes[node] for node in (*order, *progress.nodes) if node in progress.nodes}
            for node, state in nodes.items():
                if shown.get(node) is not state:
                    typer.echo(f"{datetime.now():%H:%M:%S}  {node:22} {state.value}")
            shown.update(nodes)
            if progress.state.is_final:
                # Platforms may record the end of a run before that of its nodes.
                if asked_once_more or all(state.is_final for state in nodes.values()):
                    break
                asked_once_more = True
            time.sleep(POLL)
    except KeyboardInterrupt:
        raise ended(STOPPED, f"no longer followed; the run continues: {run.link}") from None
    except GoneError as error:
        raise ended(NOT_FOLLOWED, f"error: run {run.id} was deleted") from error
    except CompressorError as error:
        raise ended(NOT_FOLLOWED, f"error: {error}\nno longer followed; the run continues: {run.link}") from error
    typer.echo(f"the run is {progress.state.value}")
    if progress.state not in (State.DONE, State.CACHED):
        failed = [node for node, state in nodes.items() if state is State.FAILED]
        reason = progress.reason or (f"{', '.join(failed)} failed" if failed else "the platform gives no reason")
        raise ended(FAILED, f"error: {reason}\nlogs: {run.link}")


def _progress_of(platform: Platform, run: RemoteRun) -> Progress:
    """Fetches a run's progress. Retries a few times, because a quota may be exhausted or the network down."""
    for _ in range(STATUS_ATTEMPTS - 1):
        try:
            return platform.progress(run.id)
        except GoneError:
            raise
        except CompressorError:
            time.sleep(POLL)
    return platform.progress(run.id)
