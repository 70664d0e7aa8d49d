"""Draws the README's two images of a run from the output folder of one: run.svg and report.png.

    python docs/images/from_run.py runs/clothing docs/images

Needs Chromium and playwright for the second. Events of earlier runs of the folder are left aside.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from compressor_lib.support.progress import BestTrial, Progress
from pipelines.cli.progress_view import LiveView
from pipelines.execution.events import Event
from pipelines.execution.run_estimate import SEARCH, RunEstimate

SHARE = 0.6
"""Of the search's trials that are done where the run is drawn."""

COLUMNS = 100

SIZE = {"width": 1100, "height": 1400}

_THEME = TerminalTheme(
    (41, 41, 41), (197, 200, 198),
    [(75, 78, 85), (204, 85, 90), (152, 168, 75), (208, 179, 68), (96, 138, 177), (152, 114, 159), (104, 160, 179),
     (197, 200, 198), (154, 155, 153)],
)  # fmt: skip
_LIGHTS = re.compile(r'<g transform="translate\(26,22\)">.*?</g>', re.DOTALL)
_WEB_FONTS = re.compile(r"@font-face \{.*?\}|<!--.*?-->", re.DOTALL)


def newest_run(output: Path) -> list[dict[str, Any]]:
    """The events of the newest run that trained.

    Raises:
        SystemExit: If there is none.
    """
    runs: list[list[dict[str, Any]]] = [[]]
    for line in (output / "events.jsonl").read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        if told["event"] == "run":
            runs.append([])
        runs[-1].append(told)
    trained = [run for run in runs if any(told.get("unit") == "trial" for told in run)]
    if not trained:
        sys.exit(f"no run with trials in {output}")
    return trained[-1]


def event_of(told: dict[str, Any], shorten: re.Pattern[str], to: str) -> Event:
    """An event as it was before it was written, but for the ticks and the folder's own path."""
    progress = None
    if "unit" in told:
        best = BestTrial(**told["best"]) if told.get("best") else None
        progress = Progress(told["unit"], told["step"], told.get("total"), told.get("detail", ""), best)
    message = shorten.sub(to, told.get("message", ""))
    return Event(
        told["event"], told.get("node", ""), message, told.get("seconds"), progress, tuple(told.get("nodes", ()))
    )


def draw_run(output: Path, svg: Path) -> None:
    """Draws the live view as it was in the midst of the search."""
    run = newest_run(output)
    shown = f"runs/{output.name}"
    shorten = re.compile(re.escape(str(output.resolve())))
    now = [0.0]
    epochs = {told["node"]: int(told["total"]) for told in run if told.get("unit") == "epoch"}
    estimate = RunEstimate({}, epochs, lambda: now[0])
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    view = LiveView(console, estimate, lambda: now[0])
    for told in run:
        now[0] = datetime.fromisoformat(told["time"]).timestamp()
        event = event_of(told, shorten, shown)
        estimate(event)
        view(event)
        if told.get("unit") == "trial" and told["node"] == SEARCH and told["step"] >= SHARE * told["total"]:
            break
    console.print(Text(f"$ compressor run --config examples/pictures.yaml --output {shown} ...", "bold"))
    console.print(Text(f"pipeline {output.name} on local\noutput   {shown}"))
    console.print(view)
    drawn = console.export_svg(title="compressor run", theme=_THEME, unique_id="t")
    drawn = _LIGHTS.sub("", _WEB_FONTS.sub("", drawn)).replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas")
    svg.write_text(drawn, encoding="utf-8")


def draw_report(output: Path, png: Path) -> None:
    """Draws the head of the report, in light colours."""
    page_file = output.resolve() / "report.html"
    html = page_file.read_text(encoding="utf-8").replace(str(output.resolve()), f"runs/{output.name}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")  # type: ignore[arg-type]
        page.set_content(html, wait_until="load")
        page.wait_for_selector(".chart svg")
        page.screenshot(path=str(png))
        browser.close()


if __name__ == "__main__":
    folder, images = Path(sys.argv[1]), Path(sys.argv[2])
    draw_run(folder, images / "run.svg")
    draw_report(folder, images / "report.png")
