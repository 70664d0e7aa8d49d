"""``compressor run`` with a valid configuration: runs the pipeline and shows its progress and results."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from compressor_lib.errors import CompressorError
from pipelines.cli.exit_status import FAILED, STOPPED, ended
from pipelines.config.plain_path import link_plain_path

if TYPE_CHECKING:
    from pipelines.config.config import Config
    from pipelines.execution.events import Events
    from pipelines.results.locks import OutputLock
    from pipelines.results.outcome import Results

_STOPPED = "stopped; finished nodes and trials are kept: re-run the command to resume"


def new_log(config: Config) -> Path:
    """Creates the output folder, checks that it is writable, and returns the path of the run's log in it."""
    if "://" in config.output:
        raise CompressorError(f"output {config.output!r} is not on this machine: choose a local folder with --output.")
    logs = Path(config.output) / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        for folder in (config.output, logs):
            tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        from pipelines.execution.preflight import output_error

        raise output_error(config.output, error.strerror) from error
    return logs / f"{datetime.now():%Y%m%d-%H%M%S}.log"


def watched_run(config: Config, runner: str, log: Path, verbose: bool, lock: OutputLock) -> dict[str, Results]:
    """Runs the pipeline and shows its progress; ends the command if a node fails."""
    from pipelines.cli.advice import advice
    from pipelines.cli.output_capture import captured
    from pipelines.cli.progress_view import LiveView, PlainLines, can_be_live
    from pipelines.execution.events import Events, EventsFile
    from pipelines.execution.run_estimate import REFERENCE, RETRAIN, EstimateEvents, RunEstimate, earlier_seconds
    from pipelines.execution.runners import NodeFailure, explain
    from pipelines.execution.signals import ended_in_time

    typer.echo(f"pipeline {config.name} on {runner}\noutput   {config.output}\nlog      {log}")
    try:
        with ended_in_time(_stop_at_once()), captured(log, verbose=verbose) as console, ExitStack() as stack:
            # Other output would garble a live view.
            live = can_be_live(console) and not verbose
            events_file = Path(config.output) / "events.jsonl"
            epochs = {
                REFERENCE: config.reference.head_epochs + config.reference.epochs,
                RETRAIN: config.retraining_epochs,
            }
            estimate = RunEstimate(earlier_seconds(events_file), epochs)
            view = stack.enter_context(LiveView(console, estimate)) if live else PlainLines(console)
            consumer = EstimateEvents(estimate, view, EventsFile(events_file))
            return _run(config, runner, stack.enter_context(Events(consumer, ticks=live)), lock)
    except KeyboardInterrupt:
        raise ended(STOPPED, _STOPPED) from None
    except NodeFailure as failure:
        raise ended(FAILED, f"error: {failure}\nwhat to do: {advice(failure)}\nlog: {log}") from failure
    except CompressorError:
        raise
    except Exception as error:
        raise ended(FAILED, f"error: {explain(error)}\nwhat to do: {advice(error)}\nlog: {log}") from error


def _stop_at_once() -> Callable[[], None]:
    """Returns a function that ends the process if a library blocks, with a message on the current screen."""
    screen = os.dup(2)

    def stop() -> None:
        os.write(screen, f"{_STOPPED}\n".encode())
        os._exit(STOPPED)

    return stop


def _run(config: Config, runner: str, events: Events, lock: OutputLock) -> dict[str, Results]:
    """Runs the pipeline, from data to results."""
    from pipelines.execution import metadata_store, runners
    from pipelines.execution.code_version import code_version
    from pipelines.execution.digits import write_digits

    if config.data.source == "digits":
        write_digits(config.data_path)
    link_plain_path(os.path.join(config.output, "pipeline_root"))
    for line in metadata_store.prepare(config.metadata_path, config.pipeline_root, config.serving_directory):
        events.say(line)
    events.doing("loading TensorFlow and TFX")
    from pipelines.execution.preflight import check_classes, check_images, check_network
    from pipelines.pipeline import create_pipeline
    from pipelines.results.outcome import conclude

    images = check_images(config)
    network = check_network(config, check_classes(config, images).names if images else None)
    for backbone, why in network.left_out.items():
        events.say(f"{backbone} is left out of the search: {why}")
    pipeline = create_pipeline(config, code_version=code_version())
    events.begin([component.id for component in pipeline.components])
    runners.run(pipeline, runner, events, seed=config.seed, check=lock.check)
    metadata_store.keep_copy(config.metadata_path)
    if not events.worked:
        events.say("nothing has changed since the last run: nothing was trained or pushed")
    events.doing("writing the report")
    return conclude(config)


def verdict_sentence(results: Results) -> str:
    """Describes in a sentence what the gate's verdict means for the model."""
    if not results.blessed:
        return "not blessed: it failed the gate and was not pushed; earlier pushed models stay in place"
    if results.pushed_path is None:
        return "blessed: it passed the gate and may be deployed; it was not pushed to a folder of this machine"
    version = Path(results.pushed_path).name
    if results.pushed_before:
        return (
            f"blessed: nothing new to push; version {version} was pushed to {results.pushed_path} on "
            f"{results.pushed_before}"
        )
    return f"blessed: it passed the gate and may be deployed; pushed as version {version} to {results.pushed_path}"


def show_results(results: Mapping[str, Results], output: str) -> None:
    """Prints the results and the verdict on each model, and the path of the report."""
    from pipelines.cli.output_capture import people_console, say
    from pipelines.results.outcome import render_results

    for model, one in results.items():
        if model:
            say(f"model {model}", "bold")
        people_console().print(render_results(one))
        say(verdict_sentence(one), "bold green" if one.blessed else "bold red")
        for reason in one.reasons:
            say(f"  {reason}")
        for sentence in one.advice:
            say(f"what to do: {sentence}")
    say(f"report: {Path(output) / 'report.html'}")
