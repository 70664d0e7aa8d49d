from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from compressor_lib.support.progress import BestTrial, Progress, log_progress
from pipelines.cli.progress_view import LiveView, PlainLines, can_be_live, spent
from pipelines.execution.events import Event, Events
from pipelines.execution.run_estimate import EstimateEvents, RunEstimate

NODES = ["ImageExampleGen", "SchemaGen", "PruningSearch", "retrain", "Pusher"]
LOGGER = logging.getLogger("compressor_lib.any")
BEST = BestTrial("block_5_add->head", 112_554, 0.9832, 0.9129)


def go_half_way(events: Events) -> None:
    """Through two nodes, into the third."""
    events.begin(NODES)
    events.started("ImageExampleGen")
    events.finished("ImageExampleGen", "done")
    events.started("SchemaGen")
    events.finished("SchemaGen", "cached")
    events.started("PruningSearch")
    LOGGER.info("searching 62 connections")
    log_progress(LOGGER, Progress("image", 640))
    log_progress(LOGGER, Progress("trial", 0, 15))
    for step in (1, 2, 3):
        log_progress(LOGGER, Progress("trial", step, 15, "block_2_add->head scores 0.5000", BEST))


class Terminal:
    """A live view on a terminal of some size, and what it shows."""

    def __init__(self, width: int = 100, height: int = 40):
        self.stream = io.StringIO()
        self.console = Console(
            file=self.stream, force_terminal=True, width=width, height=height, color_system=None, legacy_windows=False
        )
        self.view = LiveView(self.console)

    @property
    def text(self) -> str:
        with self.console.capture() as capture:
            self.console.print(self.view)
        return capture.get()

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.text.splitlines() if line.strip()]


@pytest.fixture
def terminal():
    return Terminal()


def test_without_a_terminal_each_event_but_ticks_is_a_line():
    stream = io.StringIO()
    with Events(PlainLines(Console(file=stream, width=40)), ticks=True) as events:
        events.doing("loading TensorFlow and TFX")
        go_half_way(events)
        events.failed("PruningSearch", "the disk is full")
        events.say("nothing is new")
    assert stream.getvalue().splitlines() == [
        "loading TensorFlow and TFX ...",
        "[1/5] ImageExampleGen ...",
        "[1/5] ImageExampleGen        done    0.0 s",
        "[2/5] SchemaGen ...",
        "[2/5] SchemaGen              cached",
        "[3/5] PruningSearch ...",
        "    searching 62 connections",
        *(f"    trial {step}/15: block_2_add->head scores 0.5000; best so far {BEST}" for step in (1, 2, 3)),
        "[3/5] PruningSearch          failed  the disk is full",
        "nothing is new",
    ]


def test_all_nodes_are_shown_with_their_state(terminal):
    with Events(terminal.view, ticks=True) as events:
        go_half_way(events)
        rows = [line.split()[1:3] for line in terminal.lines[:5]]
    assert rows == [
        ["ImageExampleGen", "0.0"],
        ["SchemaGen", "cached"],
        ["PruningSearch", "0"],
        ["retrain", "waiting"],
        ["Pusher", "waiting"],
    ]


def test_the_node_at_work_has_a_bar_the_time_left_and_the_best_trial(terminal):
    with Events(terminal.view, ticks=True) as events:
        go_half_way(events)
        bar, last, best = terminal.lines[5:]
    assert bar.split()[0] == "trials"
    assert "3/15" in bar
    assert bar.endswith("left")
    assert last == "   block_2_add->head scores 0.5000"
    assert best == f"   best so far  {BEST}"


def test_the_cursor_rests_on_an_empty_line(terminal):
    with Events(terminal.view) as events:
        go_half_way(events)
    assert terminal.text.endswith("\n\n")


def test_what_came_of_a_node_stays_beside_it(terminal):
    with Events(terminal.view, ticks=True) as events:
        go_half_way(events)
        events.finished("PruningSearch", "done")
        events.started("retrain")
        events.failed("retrain", "the disk is full")
        events.doing("measuring both models")
        events.say("nothing is new")
        lines = terminal.lines
    assert lines[2].endswith(str(BEST))
    assert lines[3].split()[:3] == ["✗", "retrain", "failed"]
    assert lines[3].endswith("the disk is full")
    assert "measuring both models  0 s" in lines[5]
    assert lines[6:] == ["nothing is new"]


def test_a_finished_row_shows_its_result(terminal):
    stream = io.StringIO()
    with Events(terminal.view, PlainLines(Console(file=stream))) as events:
        events.begin(["Evaluator", "Pusher", "Report"])
        for node, outcome, result in (
            ("Evaluator", "done", "blessed"),
            ("Pusher", "cached", "version 7, pushed then"),
            ("Report", "done", ""),
        ):
            events.started(node)
            LOGGER.info("at work")
            events.made(node, result)
            events.finished(node, outcome)
        lines = terminal.lines
    assert lines[0].split("  ")[-1] == "blessed"
    assert "at work" not in "".join(lines)
    assert lines[1].endswith("cached  version 7, pushed then")
    assert "[1/3] Evaluator              done    0.0 s  blessed\n" in stream.getvalue()
    assert "[2/3] Pusher                 cached  version 7, pushed then\n" in stream.getvalue()


@pytest.mark.parametrize(("width", "height"), [(60, 10), (100, 6)])
def test_a_small_terminal_shows_the_node_at_work(width, height):
    terminal = Terminal(width, height)
    with terminal.view, Events(terminal.view, ticks=True) as events:
        go_half_way(events)
        terminal.stream.truncate(0)
        lines = terminal.lines
    assert any("PruningSearch" in line for line in lines)
    assert max(map(len, lines)) <= width


def test_at_the_end_every_node_stays_on_the_screen():
    terminal = Terminal(height=8)
    with terminal.view, Events(terminal.view) as events:
        go_half_way(events)
        terminal.stream.truncate(0)
    last = terminal.stream.getvalue()
    assert [node for node in NODES if node not in last] == []


def test_at_the_end_every_result_stands_there_whole():
    result = "accuracy 82.22%, 194,778 parameters: block_7_add->block_13_expand"
    terminal = Terminal(width=80)
    with terminal.view, Events(terminal.view) as events:
        events.begin(["PruningSearch"])
        events.started("PruningSearch")
        events.made("PruningSearch", result)
        events.finished("PruningSearch", "done")
        assert "…" in terminal.text
        terminal.stream.truncate(0)
    last = terminal.stream.getvalue()
    assert "…" not in last
    assert " ".join(last.split()).count(result) == 1


@pytest.mark.parametrize(("terminal", "live"), [(True, True), (False, False)])
def test_what_moves_is_for_terminals_alone(monkeypatch, terminal, live):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    assert can_be_live(Console(file=stream)) is live


def test_a_terminal_that_knows_ascii_alone_is_spared():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    view = LiveView(console := Console(file=stream, force_terminal=True, width=80, color_system=None))
    with Events(view, ticks=True) as events:
        go_half_way(events)
        console.print(view)  # would raise UnicodeEncodeError


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.04, "0.0 s"), (12.84, "12.8 s"), (12, "12 s"), (185.2, "3 min 05 s"), (7621, "2 h 07 min")],
)
def test_durations(seconds, words):
    assert spent(seconds) == words


@pytest.mark.parametrize(
    ("earlier", "words"),
    [
        ({"PruningSearch": 600, "retrain": 900}, "whole run: about 25 minutes left"),
        ({"retrain": 900}, "whole run: the time left is known after the first trials"),
    ],
)
def test_the_rest_of_the_run_is_estimated_beside_the_trials(earlier, words):
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=40, color_system=None)
    estimate = RunEstimate(earlier, {})
    view = LiveView(console, estimate)
    told = EstimateEvents(estimate, view)
    for event in (Event("run", nodes=("PruningSearch", "retrain")), Event("started", "PruningSearch")):
        told(event)
    console.print(view)
    assert words in console.file.getvalue()


def test_without_a_terminal_the_time_left_is_a_line():
    stream = io.StringIO()
    told = EstimateEvents(RunEstimate({"retrain": 900}, {}), PlainLines(Console(file=stream)))
    with Events(told) as events:
        events.begin(["Transform", "retrain"])
        events.started("Transform")
        events.finished("Transform", "done")
    assert stream.getvalue().splitlines()[-1] == "whole run: about 15 minutes left"
