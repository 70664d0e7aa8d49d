"""Draws the README's two images, run.svg and report.png, from a run's output folder.

    python docs/images/from_run.py runs/clothing docs/images

report.png needs Chromium and playwright. Events of earlier runs in the folder are ignored.
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
"""Share of the search's trials that are done in the image."""

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
    """Returns the events of the newest run that trained.

    Raises:
        SystemExit: If there is no such run.
    """
    runs: list[list[dict[str, Any]]] = [[]]
    for line in (output / "events.jsonl").read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        if fields["event"] == "run":
            runs.append([])
        runs[-1].append(fields)
    trained = [run for run in runs if any(fields.get("unit") == "trial" for fields in run)]
    if not trained:
        sys.exit(f"no run with trials in {output}")
    return trained[-1]


def event_of(fields: dict[str, Any], shorten: re.Pattern[str], to: str) -> Event:
    """Rebuilds an event from its line in the file, with the folder's path shortened."""
    progress = None
    if "unit" in fields:
        best = BestTrial(**fields["best"]) if fields.get("best") else None
        progress = Progress(fields["unit"], fields["step"], fields.get("total"), fields.get("detail", ""), best)
    message = shorten.sub(to, fields.get("message", ""))
    return Event(
        fields["event"],
        fields.get("node", ""),
        message,
        fields.get("seconds"),
        progress,
        tuple(fields.get("nodes", ())),
    )


def draw_run(output: Path, svg: Path) -> None:
    """Draws the live view in the middle of the search."""
    run = newest_run(output)
    shown = f"runs/{output.name}"
    shorten = re.compile(re.escape(str(output.resolve())))
    now = [0.0]
    epochs = {fields["node"]: int(fields["total"]) for fields in run if fields.get("unit") == "epoch"}
    estimate = RunEstimate({}, epochs, lambda: now[0])
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    view = LiveView(console, estimate, lambda: now[0])
    for fields in run:
        now[0] = datetime.fromisoformat(fields["time"]).timestamp()
        event = event_of(fields, shorten, shown)
        estimate(event)
        view(event)
        if fields.get("unit") == "trial" and fields["node"] == SEARCH and fields["step"] >= SHARE * fields["total"]:
            break
    console.print(Text(f"$ compressor run --config examples/pictures.yaml --output {shown} ...", "bold"))
    console.print(Text(f"pipeline {output.name} on local\noutput   {shown}"))
    console.print(view)
    drawn = console.export_svg(title="compressor run", theme=_THEME, unique_id="t")
    drawn = _LIGHTS.sub("", _WEB_FONTS.sub("", drawn)).replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas")
    svg.write_text(drawn, encoding="utf-8")


def draw_report(output: Path, png: Path) -> None:
    """Draws the top of the report, in light colours."""
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
