from __future__ import annotations

import contextlib
import json
import logging

import pytest

from compressor_lib.errors import CompressorError
from compressor_lib.support.progress import BestTrial, Progress, log_progress
from pipelines.execution.events import OWN_LOGGERS, Event, Events, EventsFile
from pipelines.execution.runners import NodeFailure

OWN = logging.getLogger("compressor_lib.some_module")
BEST = BestTrial("block_5_add->head", 1000, 0.9, 0.8)


@pytest.fixture
def told() -> list[Event]:
    return []


def test_nodes_messages_and_progress_become_events_in_their_order(told):
    with Events(told.append) as events:
        events.begin(["A", "B"])
        events.started("A")
        OWN.info("image %d of 9\nmore", 3)
        log_progress(OWN, Progress("trial", 1, 2, "x", BEST))
        log_progress(OWN, Progress("trial", 1.5, 2))
        logging.getLogger("other").warning("noise")
        events.finished("A", "cached")
        events.started("B")
        events.failed("B", "the disk is full")
    OWN.info("after")
    assert [(event.kind, event.node, event.message) for event in told] == [
        ("run", "", ""),
        ("started", "A", ""),
        ("message", "A", "image 3 of 9"),
        ("progress", "A", f"trial 1/2: x; best so far {BEST}"),
        ("cached", "A", ""),
        ("started", "B", ""),
        ("failed", "B", "the disk is full"),
        ("end", "", ""),
    ]
    assert told[0].nodes == ("A", "B")
    assert told[-2].seconds >= 0


def test_no_credential_gets_into_an_event(told, tmp_path):
    secret = "hunter2-and-more"
    error = OSError(f"https://me:{secret}@host")
    file = EventsFile(tmp_path / "events.jsonl")
    with contextlib.suppress(OSError), Events(told.append, file) as events:
        events.doing(f"reading https://host/a.jpg?X-Amz-Signature={secret}")
        OWN.warning("the token is Bearer %s", secret)
        events.started("A")
        events.failed("A", str(error))
        raise error
    written = (tmp_path / "events.jsonl").read_text()
    assert secret not in written + str(told)
    assert [json.loads(line)["event"] for line in written.splitlines()] == [event.kind for event in told]
    assert written.count("***") == 4


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NodeFailure("A", OSError("full")), "node A failed: OSError: full"),
        (CompressorError("bad: fix it"), "bad: fix it"),
        (KeyboardInterrupt(), "stopped"),
    ],
)
def test_the_end_tells_why_it_came_early(told, error, words):
    with pytest.raises(type(error)), Events(told.append):
        raise error
    assert [(event.kind, event.message) for event in told] == [("end", words)]


def test_ticks_are_for_those_who_ask(told):
    with Events(told.append, ticks=True):
        log_progress(OWN, Progress("epoch", 0.5, 2))
        OWN.debug("for those who debug")
    assert [event.is_tick for event in told] == [True, False]


@pytest.mark.parametrize(("outcome", "worked"), [("cached", False), ("skipped", False), ("done", True)])
def test_it_is_known_whether_a_node_worked(outcome, worked):
    events = Events()
    events.started("A")
    events.finished("A", outcome)
    assert events.worked is worked


def test_a_stop_is_told_of_the_node_at_work(told):
    events = Events(told.append)
    events.started("A")
    events.stopped()
    assert (told[-1].kind, told[-1].node) == ("stopped", "A")


def test_loggers_are_left_as_they_were():
    loggers = [logging.getLogger(name) for name in OWN_LOGGERS]
    before = [(logger.level, logger.handlers[:]) for logger in loggers]
    with Events(ticks=True):
        pass
    assert [(logger.level, logger.handlers[:]) for logger in loggers] == before


@pytest.mark.survives("the events cannot be written")
def test_a_file_that_cannot_be_written_hides_no_other_failure(tmp_path):
    with pytest.raises(CompressorError, match="the failure itself"), Events(EventsFile(tmp_path / "gone" / "events")):
        raise CompressorError("the failure itself")


def test_a_file_takes_an_object_a_line_and_no_ticks(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "run"}\n')  # an earlier run's
    with Events(EventsFile(path), ticks=True) as events:
        events.started("search")
        log_progress(OWN, Progress("trial", 3, 15, "a->b scores 0.5", BEST))
        log_progress(OWN, Progress("trial", 3.5, 15))
        events.finished("search", "done")
    _, started, progress, done, _ = map(json.loads, path.read_text().splitlines())
    assert {key: value for key, value in started.items() if key != "time"} == {"event": "started", "node": "search"}
    assert progress["best"] == {
        "connection": "block_5_add->head", "parameters": 1000, "accuracy": 0.9, "score": 0.8, "images": 0,
    }  # fmt: skip
    assert (progress["unit"], progress["step"], progress["total"]) == ("trial", 3, 15)
    assert progress["message"].startswith("trial 3/15: a->b scores 0.5")
    assert done["seconds"] >= 0
