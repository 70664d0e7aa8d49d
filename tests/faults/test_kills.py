"""``kill -9`` at random moments inside every node."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command_process import Command
from harm import assert_readable, assert_whole, completed_nodes, completed_trials, outcome, unfinished_nodes

KILLS = int(os.environ.get("KILLS", "40"))
IN_EACH = 2
STARTS = 3
DRIVER = 0.1
"""Seconds that TFX looks for inputs and a cached execution, before a node is at work."""


@pytest.fixture(scope="module")
def seconds(undisturbed) -> dict[str, float]:
    """How long each node takes, in the order in which they run."""
    from pipelines.results.lineage import Lineage

    run = Lineage(undisturbed / "metadata.sqlite").run()
    return {node: one.seconds for node, one in run.nodes.items()}


@pytest.fixture(scope="module")
def plan(seconds) -> list[str]:
    """The node that each kill hits: at least two in each, the others where a run spends its time."""
    dice = random.Random(0)
    hits = [node for node in seconds for _ in range(IN_EACH)]
    hits += dice.choices(list(seconds), list(seconds.values()), k=max(0, KILLS - len(hits)))
    return sorted(hits, key=list(seconds).index)


def test_runs_that_are_killed_all_the_time_come_to_the_same(compressor, undisturbed, seconds, plan, tally, tmp_path):
    output, before, dice = tmp_path / "out", tmp_path / "before", random.Random(1)
    output.mkdir()
    for victim in plan:
        shutil.copytree(output, before)
        with tally(f"kill -9 inside {victim}"):
            while not killed_inside(
                compressor, output, victim, dice.uniform(0.0, 0.9) * (DRIVER + seconds[victim]), undisturbed
            ):
                shutil.rmtree(output)  # before the node or behind it: that kill has not been
                shutil.copytree(before, output)
        shutil.rmtree(before)
    with tally("the run after those gives the same result as an undisturbed one"):
        command = compressor(output)
        assert command.ended() == 0, command.said
        assert_readable(command)
        assert outcome(output) == outcome(undisturbed)
        assert all(len(executions) == 1 for executions in completed_nodes(output).values())


def killed_inside(
    compressor: Callable[..., Command], output: Path, victim: str, after: float, undisturbed: Path
) -> bool:
    """Kills a run, and says whether the node was at work then. Nothing finished may be lost, or done once more."""
    done, trials, unfinished = completed_nodes(output), completed_trials(output), unfinished_nodes(output)
    command = compressor(output, killed_in=victim, after=after)
    assert command.ended() in (0, -signal.SIGKILL), command.said
    assert_readable(command)
    for version in output.glob("serving/[0-9]*"):
        assert_whole(version, like=undisturbed)
    assert {node: again for node, again in completed_nodes(output).items() if node in done} == done
    assert completed_trials(output).items() >= trials.items()
    return bool(unfinished_nodes(output).get(victim, set()) - unfinished.get(victim, set()))


@pytest.mark.parametrize("number", range(STARTS))
def test_a_command_that_is_killed_while_it_starts(config, images, undisturbed, tally, tmp_path_factory, number):
    output = Path(tmp_path_factory.getbasetemp(), "starts")
    with tally("kill -9 while the command starts"):
        typed = ["run", "--config", str(config), "--data", str(images), "--output", str(output)]
        with subprocess.Popen([sys.executable, "-m", "pipelines.cli", *typed], stdout=subprocess.DEVNULL) as process:
            time.sleep(random.Random(number).uniform(0.5, 8.0))
            process.kill()
        assert not output.exists() or completed_nodes(output).keys() <= {"ImageExampleGen", "StatisticsGen"}
