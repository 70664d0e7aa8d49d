from __future__ import annotations

import json

import pytest

from compressor_lib.progress import Progress
from pipelines.events import Event, EventsFile
from pipelines.run_estimate import RunEstimate, earlier_seconds

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
    estimate(Event("progress", "PruningSearch", progress=Progress("picture", 900, 1000)))  # not what a search ends with
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
