"""Shows the events of a run: as a live view of the pipeline on a terminal, or as plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from compressor_lib.support.progress import BestTrial
from pipelines.execution.events import ENDS, Event
from pipelines.execution.run_estimate import RunEstimate

NODE_STYLES = {
    "waiting": "dim",
    "running": "bold cyan",
    "done": "green",
    "cached": "blue",
    "skipped": "dim",
    "failed": "bold red",
    "stopped": "yellow",
}
"""Style of each node state. The state is always also shown as a word."""

_MARKS = {"waiting": "·", "done": "✓", "cached": "=", "skipped": "-", "failed": "✗", "stopped": "■"}
_MARKS_IN_ASCII = _MARKS | {"waiting": ".", "done": "+", "failed": "x", "stopped": "!"}


def can_be_live(console: Console) -> bool:
    """Whether a console can show a live view: a terminal can; a file cannot, whatever environment variables say."""
    return console.is_interactive and console.file.isatty()


class PlainLines:
    """Prints a line for every event except ticks.

    Args:
        console: The console to print to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = 0
        self._count = 0

    def __call__(self, event: Event) -> None:
        """Prints one event."""
        if event.kind == "run":
            self._total = len(event.nodes)
        elif event.kind == "doing":
            self._print(f"{event.message} ...")
        elif event.kind == "started":
            self._count += 1
            self._print(f"{self._number} {event.node} ...")
        elif event.kind in ENDS:
            time_spent = spent(event.seconds) if event.kind == "done" else ""
            words = "  ".join(filter(None, [time_spent, event.message]))
            self._print(f"{self._number} {event.node:<22} {event.kind:<7} {words}".rstrip())
        elif event.kind != "end" and not event.is_tick:
            self._print(f"    {event.message}" if event.node else event.message)

    @property
    def _number(self) -> str:
        return f"[{self._count}/{self._total}]" if self._total else f"[{self._count}]"

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


@dataclass
class _Row:
    """The state of a node."""

    state: str = "waiting"
    since: float = 0.0
    seconds: float | None = None
    note: str = ""
    best: BestTrial | None = None


class LiveView:
    """Shows all nodes, and the progress of the running one. Use it as a context manager.

    Args:
        console: A terminal.
        estimate: Estimate of the time left, which the caller updates; None to show none.
        clock: Returns the time in seconds.
    """

    def __init__(
        self, console: Console, estimate: RunEstimate | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._estimate = estimate
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self._doing = ""
        self._doing_since = 0.0
        self._said: list[str] = []
        spinner = "line" if console.options.ascii_only else "dots"
        self._mark, self._spinner = (Spinner(spinner, style=NODE_STYLES["running"]) for _ in range(2))
        self._marks = _MARKS_IN_ASCII if console.options.ascii_only else _MARKS
        self._bar, self._tasks = _new_bar(clock), dict[str, TaskID]()
        self._live = Live(self, console=console, redirect_stdout=False, redirect_stderr=False, refresh_per_second=5)

    def __enter__(self) -> LiveView:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._doing = ""
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Takes in one event, which is shown at the next refresh."""
        if event.kind == "run":
            self._rows, self._doing = {node: _Row() for node in event.nodes}, ""
        elif event.kind == "doing":
            self._doing, self._doing_since = event.message, self._clock()
        elif event.kind == "said":
            self._said.append(event.message)
        elif event.node:
            self._take(event, self._rows.setdefault(event.node, _Row()))

    def _take(self, event: Event, row: _Row) -> None:
        if event.kind == "started":
            row.state, row.since, self._doing = "running", self._clock(), ""
            self._bar, self._tasks = _new_bar(self._clock), {}
        elif event.kind in ENDS:
            row.state, row.seconds = event.kind, event.seconds
            row.note = event.message or (str(row.best) if row.best else "")
        elif event.progress is None:
            row.note = event.message
        else:
            progress = event.progress
            row.note, row.best = progress.detail or row.note, progress.best or row.best
            self._advance(progress.unit, progress.step, progress.total)

    def _advance(self, unit: str, step: float, total: int | None) -> None:
        """Advances the bar of a unit and hides the others."""
        for other, task in self._tasks.items():
            self._bar.update(task, visible=other == unit)
        if unit not in self._tasks:
            self._tasks[unit] = self._bar.add_task(f"{unit}s", total=total)
        self._bar.update(self._tasks[unit], total=total, completed=step)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the whole view; on a terminal with too few lines, it omits the nodes that ended first."""
        running = next((name for name, row in self._rows.items() if row.state == "running"), None)
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(width=1)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(
            no_wrap=self._live.is_started, overflow="ellipsis", ratio=1
        )  # not shortened once the view stops
        for name in self._shown(options, is_at_work=running is not None or bool(self._doing)):
            row = self._rows[name]
            style = NODE_STYLES[row.state]
            mark: RenderableType = self._mark if row.state == "running" else Text(self._marks[row.state], style)
            note = Text("" if name == running else row.note, "red" if row.state == "failed" else "dim")
            table.add_row(mark, Text(name, style), Text(self._time_of(row), style), note)
        yield table
        if running is not None:
            yield from self._details(self._rows[running])
        if self._doing:
            self._spinner.update(text=Text(f" {self._doing}  {spent(int(self._clock() - self._doing_since))}"))
            yield self._spinner
        yield from (Text(words) for words in self._said)
        yield Text()  # line for the cursor: after a full line, the ^C that a terminal shows would wrap

    def _details(self, row: _Row) -> RenderResult:
        lines: list[RenderableType] = [self._bar] if self._tasks else []
        if row.note:
            lines.append(Text(row.note, "dim", no_wrap=True, overflow="ellipsis"))
        if self._estimate and (left := self._estimate.words):
            lines.append(Text(left, "dim"))
        if row.best:
            lines.append(Text("best so far  ", "dim").append(str(row.best), "not dim bold"))
        yield Padding(Group(*lines), (0, 0, 0, 3))

    def _time_of(self, row: _Row) -> str:
        if row.state == "running":
            return spent(int(self._clock() - row.since))
        return spent(row.seconds) if row.state == "done" else row.state

    def _shown(self, options: ConsoleOptions, *, is_at_work: bool) -> list[str]:
        """The nodes that fit on the terminal: without those that ended first, then without the last to run."""
        names = list(self._rows)
        if not self._live.is_started:
            return names
        room = max(1, options.size.height - 2 - len(self._said) - (6 if is_at_work else 0))
        ended = [name for name in names if self._rows[name].state in ENDS]
        hidden = set(ended[: max(0, len(names) - room)])
        return [name for name in names if name not in hidden][:room]


def spent(seconds: float | None) -> str:
    """Formats a duration: ``12.8 s`` (``12 s`` for an integer), ``3 min 05 s`` or ``2 h 07 min``."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds} s" if isinstance(seconds, int) else f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min {int(seconds % 60):02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


class _TimeLeft(TimeRemainingColumn):
    """The time left, if it is known."""

    def render(self, task: Task) -> Text:
        if task.finished or task.time_remaining is None:
            return Text()
        return super().render(task).append(" left", "dim")


def _new_bar(clock: Callable[[], float]) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        _TimeLeft(compact=True),
        speed_estimate_period=600,  # a trial or an epoch may take minutes
        get_time=clock,
    )
