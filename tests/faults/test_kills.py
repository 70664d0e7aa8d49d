"""``kill -9`` at random moments inside every node."""

from __future__ import annotations

import functools
import os
import random
import signal
import time
from pathlib import Path

import pytest
from harm import assert_readable, assert_whole, completed_nodes, completed_trials, outcome

KILLS = int(os.environ.get("KILLS", "40"))
IN_EACH = 2
FAULT = "kill -9 inside {node}"


@pytest.fixture(scope="module")
def seconds(undisturbed) -> dict[str, float]:
    """How long each node takes, in the order in which they run."""
    from pipelines.lineage import Lineage

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
    output, dice = tmp_path / "out", random.Random(1)
    for victim in plan:
        with tally(FAULT.format(node=victim)):
            done, trials = _done(output), completed_trials(output)
            command = compressor(output)
            wait = dice.uniform(0.0, 0.9) * seconds[victim]
            assert command.wait_until(functools.partial(command.has_begun, victim, output)), command.said
            time.sleep(wait)
            command.send(signal.SIGKILL)
            assert command.ended() == -signal.SIGKILL, command.said
            assert_readable(command)
            for version in output.glob("serving/[0-9]*"):
                assert_whole(version, like=undisturbed)
            # Nothing that was finished was done again, and no trial either.
            assert {node: again for node, again in _done(output).items() if node in done} == done
            assert completed_trials(output).items() >= trials.items()
    with tally("the run after all of those comes to what an undisturbed one does"):
        command = compressor(output)
        assert command.ended() == 0, command.said
        assert_readable(command)
        assert outcome(output) == outcome(undisturbed)
        assert all(len(executions) == 1 for executions in completed_nodes(output).values())


def _done(output: Path) -> dict[str, set[int]]:
    return completed_nodes(output) if (output / "metadata.sqlite").is_file() else {}
