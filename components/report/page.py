"""Makes the page of a report: one file that asks for nothing else."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
import vl_convert
import yaml

from components.report.answers import recalls, worst_hit
from components.report.charts import COST_TITLES, MOST_CLASSES, Spec, charts
from components.report.data import PAGE_FILE, Block, ChangedPicture, ReportData
from compressor_lib.networks.class_names import natural_order

STATIC_WIDTH = 720
"""Width in pixels of the pictures for readers without JavaScript."""

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("components.report", "page_files"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Segment:
    """Neighbouring blocks of one kind.

    Attributes:
        state: As in :class:`components.report.data.Block`.
        blocks: The blocks.
    """

    state: str
    blocks: list[Block]

    @property
    def parameters(self) -> int:
        """Of all the blocks."""
        return sum(block.parameters for block in self.blocks)


@dataclass(frozen=True)
class HitClass:
    """A class that compression made worse.

    Attributes:
        name: The class.
        before: Share of its test pictures that the reference names rightly.
        after: Likewise, the compressed model.
        pictures: Some that it names wrongly now.
    """

    name: str
    before: float
    after: float
    pictures: list[ChangedPicture]


def write_page(data: ReportData, folder: Path) -> Path:
    """Writes ``report.html`` into a folder, and returns its path."""
    path = folder / PAGE_FILE
    path.write_text(render_page(data), encoding="utf-8")
    return path


def render_page(data: ReportData) -> str:
    """Makes the page.

    Args:
        data: What it tells.

    Returns:
        HTML with styles, scripts, charts and pictures inside.
    """
    specs = dict(charts(data))
    return _TEMPLATES.get_template("report.html.j2").render(
        data=data,
        style=_file("style.css"),
        script=_file("script.js"),
        vega=_vega(),
        specs=json.dumps(specs).replace("</", "<\\/"),
        statics={name: _static(spec) for name, spec in specs.items()},
        costs={cost: title for cost, title in COST_TITLES.items() if f"pareto-{cost}" in specs},
        segments=_segments(data.network),
        most_parameters=max(block.parameters for block in data.network),
        worst=list(_worst(data)),
        splits=list(data.data.totals),
        counted=_counted(data),
        most_classes=MOST_CLASSES,
        config=yaml.safe_dump(data.config, sort_keys=False),
    )


def _file(name: str) -> str:
    return (Path(__file__).parent / "page_files" / name).read_text(encoding="utf-8")


@functools.cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, which sets ``window.vegaEmbed``."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")


def _static(spec: Spec) -> str:
    """A chart as SVG; it says what it shows, and its colours are the page's."""
    fixed: dict[str, Any] = {**spec, "width": STATIC_WIDTH}
    svg = vl_convert.vegalite_to_svg(fixed)
    label = jinja2.filters.escape(spec["description"])
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _segments(network: list[Block]) -> list[Segment]:
    return [Segment(state, list(blocks)) for state, blocks in groupby(network, key=lambda block: block.state)]


def _counted(data: ReportData) -> list[str]:
    """The classes whose pictures are told: all, or, of many, those with the fewest."""
    totals = Counter[str]()
    for counts in data.data.pictures.values():
        totals.update(counts)
    if len(totals) <= MOST_CLASSES:
        return natural_order(totals)
    return sorted(totals, key=lambda name: (totals[name], name))[:MOST_CLASSES]


def _worst(data: ReportData) -> Iterator[HitClass]:
    """The classes that lost most, with what their pictures are taken for now."""
    answers = data.answers
    before, after = recalls(answers.reference), recalls(answers.compressed)
    for number in worst_hit(answers.reference, answers.compressed):
        name, old, new = answers.classes[number], before[number], after[number]
        assert old is not None
        assert new is not None
        yield HitClass(name, old, new, answers.changed.get(name, []))
