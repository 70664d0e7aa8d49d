from __future__ import annotations

import json

import pytest

from compressor_lib.support.progress import Progress
from pipelines.execution.events import Event, EventsFile
from pipelines.execution.run_estimate import EstimateEvents, RunEstimate, earlier_seconds, in_words

NODES = ("Transform", "reference", "PruningSearch", "retrain", "Pusher")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def begun(clock: Clock, **earlier: float) -> RunEstimate:
    estimate = RunEstimate(earlier, {"reference": 5, "retrain": 20}, clock)
    estimate(Event("run", nodes=NODES))
    return estimate


def done(estimate: RunEstimate, node: str, seconds: float) -> None:
    estimate(Event("started", node))
    estimate(Event("done", node, seconds=seconds))


def test_the_last_run_tells_how_long_this_one_takes(clock):
    estimate = begun(clock, Transform=10, reference=60, PruningSearch=120, retrain=90, Pusher=5)
    assert estimate.seconds_left() == 285
    done(estimate, "Transform", 12)
    assert estimate.seconds_left() == 275
    estimate(Event("started", "reference"))
    clock.now += 20
    assert estimate.seconds_left() == 255
    clock.now += 100  # longer than the last time
    assert estimate.seconds_left() == 215


def test_a_first_run_is_estimated_once_its_search_is_under_way(clock):
    estimate = begun(clock)
    assert estimate.seconds_left() is None
    done(estimate, "Transform", 10)
    done(estimate, "reference", 50)
    estimate(Event("started", "PruningSearch"))
    estimate(Event("progress", "PruningSearch", progress=Progress("trial", 0, 40)))
    assert estimate.seconds_left() is None
    clock.now += 30
    estimate(Event("progress", "PruningSearch", progress=Progress("image", 900, 1000)))  # not what a search ends with
    assert estimate.seconds_left() is None
    estimate(Event("progress", "PruningSearch", progress=Progress("trial", 10, 40)))
    # 90 s of the search, 20 epochs of 10 s, and a short node like the others.
    assert estimate.seconds_left() == pytest.approx(90 + 200 + 10)


def test_nodes_from_the_cache_take_nothing(clock):
    estimate = begun(clock, Transform=10, reference=60, PruningSearch=120, retrain=90, Pusher=5)
    for node in NODES[:4]:
        estimate(Event("started", node))
        estimate(Event("cached", node, seconds=0.1))
    assert estimate.seconds_left() == 5


def test_the_last_run_is_read_from_its_events(tmp_path):
    path = tmp_path / "events.jsonl"
    assert earlier_seconds(path) == {}
    write = EventsFile(path)
    for event in (Event("done", "Transform", seconds=10), Event("cached", "reference", seconds=0.1)):
        write(event)
    write(Event("done", "Transform", seconds=12))
    with path.open("a") as file:
        file.write(json.dumps({"event": "done", "node": "Pusher"}) + '\n[1]\n{"event": "do')
    assert earlier_seconds(path) == {"Transform": 12}


def test_a_node_that_resumes_is_not_taken_for_faster_than_it_is(clock):
    estimate = begun(clock, Transform=10, reference=60, PruningSearch=120, retrain=400, Pusher=5)
    for node in NODES[:3]:
        estimate(Event("started", node))
        estimate(Event("cached", node, seconds=0.1))
    estimate(Event("started", "retrain"))
    clock.now += 10
    estimate(Event("progress", "retrain", progress=Progress("epoch", 10, 20)))  # an earlier try came so far
    clock.now += 20
    estimate(Event("progress", "retrain", progress=Progress("epoch", 12, 20)))
    assert estimate.seconds_left() == pytest.approx(80 + 5)


def test_the_seconds_of_a_search_that_was_resumed_are_those_of_all_its_tries(tmp_path):
    write = EventsFile(path := tmp_path / "events.jsonl")
    for kind, seconds in (("stopped", 100), ("failed", 50), ("done", 10)):
        write(Event(kind, "PruningSearch", seconds=seconds))
    write(Event("stopped", "Transform", seconds=30))  # begins anew
    write(Event("done", "Transform", seconds=40))
    assert earlier_seconds(path) == {"PruningSearch": 160, "Transform": 40}


def test_a_reference_that_ends_early_tells_how_long_an_epoch_is(clock):
    estimate = begun(clock, Transform=1, PruningSearch=100, Pusher=5)
    done(estimate, "Transform", 1)
    estimate(Event("started", "reference"))
    for epoch in (0, 1, 2):
        estimate(Event("progress", "reference", progress=Progress("epoch", epoch, 5)))
        clock.now += 30
    estimate(Event("done", "reference", seconds=90))
    # 20 epochs of 30 s, rather than of a fifth of the 90 s.
    assert estimate.seconds_left() == pytest.approx(100 + 600 + 5)


def estimates(estimate: RunEstimate) -> tuple[EstimateEvents, list[Event]]:
    """What is told of the time left, as it is told."""
    told: list[Event] = []
    events = EstimateEvents(estimate, lambda event: told.append(event) if event.kind == "estimate" else None)
    events(Event("run", nodes=NODES))
    return events, told


def test_the_time_left_is_told_when_it_is_known_and_when_it_is_another(clock):
    events, told = estimates(RunEstimate({}, {"reference": 5, "retrain": 20}, clock))
    for node, seconds in (("Transform", 10), ("reference", 50)):
        events(Event("started", node))
        events(Event("done", node, seconds=seconds))
    events(Event("started", "PruningSearch"))
    begin = clock.now
    for trial, seconds in ((0, 0), (2, 120), (10, 600), (20, 6000), (34, 10_000)):
        clock.now = begin + seconds
        events(Event("progress", "PruningSearch", progress=Progress("trial", trial, 40, "scored")))
    assert [event.message for event in told] == [
        "whole run: the time left is known after the first trials",
        "whole run: about 42 minutes left",
        "whole run: about 1.7 hours left",  # not told at the tenth trial: 34 minutes
        "whole run: about 33 minutes left",
    ]
    assert told[0].seconds is None
    assert told[1].seconds == pytest.approx(38 * 60 + 200 + 10)


def test_a_run_from_the_cache_tells_of_no_time_left(clock):
    events, told = estimates(RunEstimate(dict.fromkeys(NODES, 60.0), {}, clock))
    for node in NODES:
        events(Event("started", node))
        events(Event("cached", node, seconds=0.1))
    assert told == []


def test_a_run_that_follows_another_tells_at_its_first_work(clock):
    events, told = estimates(RunEstimate(dict.fromkeys(NODES, 60.0), {}, clock))
    for node in NODES:
        events(Event("started", node))
        events(Event("done", node, seconds=60))
    assert [event.message for event in told] == [
        "whole run: about 4 minutes left", "whole run: about 2 minutes left", "whole run: about a minute left"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "a minute"), (100, "2 minutes"), (5000, "83 minutes"), (9000, "2.5 hours")]
)
def test_a_rough_duration_is_in_words(seconds, words):
    assert in_words(seconds) == words


def test_the_retraining_of_each_model_of_a_family_is_expected_to_take_as_long(clock):
    estimate = RunEstimate({}, {"reference": 5, "retrain": 20}, clock)
    estimate(Event("run", nodes=("reference", "retrain-tiny", "retrain-small", "Pusher-tiny")))
    done(estimate, "reference", 50)
    done(estimate, "retrain-tiny", 180)
    estimate(Event("started", "retrain-small"))
    assert estimate.seconds_left() is None  # no short node has ended yet
    done(estimate, "retrain-small", 190)
    done(estimate, "Pusher-tiny", 3)
    assert estimate.seconds_left() == 0
