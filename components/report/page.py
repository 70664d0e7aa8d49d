"""Renders the page of a report, on one model or on a family, as one self-contained file."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import vl_convert
import yaml

from components.artifacts.card import card_path
from components.artifacts.thresholds import decides, threshold_rows
from components.report.charts import charts
from components.report.choices import choices
from components.report.confusion import worst_hit
from components.report.data import PAGE_FILE, Block, ExampleImage, Finalist, ReportData, Trial
from components.report.pareto import COST_TITLES, EVAL, costs_of, counted_on_eval, in_another_format
from components.report.usage import Snippet, snippets
from components.report.vega import MOST_CLASSES, Spec
from compressor_lib.deployment import phrases
from compressor_lib.deployment.family import node_id
from compressor_lib.networks.class_names import with_new_classes

_SAVED_MODEL = "Format-Serving"
"""TFX's name for the folder with a model's SavedModel."""

STATIC_WIDTH = 720
"""Width of the static charts, in pixels, for readers without JavaScript."""

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("components.report", "page_files"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Segment:
    """Adjacent blocks with the same state.

    Attributes:
        state: State as in :class:`components.report.data.Block`.
        blocks: The blocks.
    """

    state: str
    blocks: list[Block]

    @property
    def parameters(self) -> int:
        """Number of parameters of all blocks."""
        return sum(block.parameters for block in self.blocks)


@dataclass(frozen=True)
class WorsenedClass:
    """A class that lost accuracy through compression.

    Attributes:
        name: Name of the class.
        before: Number of its test images that the reference model classifies correctly.
        after: Number of its test images that the compressed model classifies correctly.
        images: Number of its test images.
        examples: Some images that are now classified wrongly.
    """

    name: str
    before: int
    after: int
    images: int
    examples: list[ExampleImage]


@dataclass(frozen=True)
class Card:
    """The location of the model card.

    Attributes:
        place: A link from the page, or a path or URI.
        is_link: Whether it is a link: the card is in or below the page's folder.
    """

    place: str
    is_link: bool


def write_page(reports: Mapping[str, ReportData], folder: Path) -> Path:
    """Writes ``report.html`` to a folder.

    Args:
        reports: The reports of a family by name, or that of the only model under an empty name.
        folder: The folder.

    Returns:
        The path of the page.
    """
    path = folder / PAGE_FILE
    page = render_page(reports[""], folder) if "" in reports else render_family(reports, folder)
    path.write_text(page, encoding="utf-8")
    return path


def render_page(data: ReportData, folder: Path | None = None) -> str:
    """Renders the page.

    Args:
        data: Content of the report.
        folder: Folder that the page will be in, for relative links; None for no links to files.

    Returns:
        HTML with embedded styles, scripts, charts and images.
    """
    context, specs = _context(data, folder)
    return _TEMPLATES.get_template("report.html.j2").render(**context, **_assets(specs))


def render_family(reports: Mapping[str, ReportData], folder: Path | None = None) -> str:
    """Renders the page of a family: a table of its models, then the sections of each, then those of the whole run.

    Args:
        reports: Content of the reports, by the names of the models.
        folder: As for :func:`render_page`.
    """
    models: list[dict[str, Any]] = []
    all_specs: dict[str, Spec] = {}
    for name, data in reports.items():
        context, specs = _context(data, folder, prefix=f"model-{name}-")
        numbers, body = (_TEMPLATES.get_template(f"{part}.html.j2").render(**context) for part in ("numbers", "model"))
        models.append({**context, "name": name, "numbers": numbers, "body": body})
        all_specs |= specs
    first = models[0]["data"]
    shared = {**models[0], "data": replace(first, artifacts=_all_artifacts(reports))}
    passed = sum(data.verdict.blessed for data in reports.values())
    return _TEMPLATES.get_template("family.html.j2").render(
        **shared, **_assets(all_specs), models=models, passed=passed
    )


def _all_artifacts(reports: Mapping[str, ReportData]) -> dict[str, str]:
    """Returns the locations of what a family's models share and of what each has alone."""
    shared = set.intersection(*(set(data.artifacts.items()) for data in reports.values()))
    places = {}
    for name, data in reports.items():
        for key, uri in data.artifacts.items():
            places[key if (key, uri) in shared else f"{key} of {name}"] = uri
    return places


def _assets(specs: Mapping[str, Spec]) -> dict[str, Any]:
    """Returns what a page embeds once."""
    return {
        "style": _file("style.css"),
        "script": _file("script.js"),
        "vega": _vega(),
        "specs": json.dumps(specs).replace("</", "<\\/"),
    }


def _context(data: ReportData, folder: Path | None, prefix: str = "") -> tuple[dict[str, Any], dict[str, Spec]]:
    """Returns what the sections about one model show, and its charts.

    Args:
        data: Content of the report.
        folder: As for :func:`render_page`.
        prefix: Beginning of the IDs of sections and of the names of charts, so that they are unique on a page.
    """
    specs = dict(charts(data))
    context = {
        "data": data,
        "prefix": prefix,
        "statics": {name: _static(spec) for name, spec in specs.items()},
        "costs": {cost: title for cost, title in COST_TITLES.items() if f"pareto-{cost}" in specs},
        "segments": _segments(data.network),
        "most_parameters": max(block.parameters for block in data.network),
        "worsened": list(_worsened(data)),
        "splits": list(data.data.totals),
        "counted": _counted(data),
        "most_classes": MOST_CLASSES,
        "config": yaml.safe_dump(data.config, sort_keys=False),
        "phrases": phrases,
        "accuracy_change": _accuracy_change(data),
        "scores": {
            role: phrases.counted(getattr(data, role).result(data.verdict.confidence_shown))
            for role in ("reference", "compressed")
        },
        "thresholds": list(threshold_rows(data.verdict)),
        "decides": decides(data.verdict),
        "format_verdicts": {name: _format_verdict(data, name) for name in data.formats},
        "card": _card(data.pushed_to, folder),
        "snippets": _snippets(data),
        "eval_split": _eval_split(data),
        "trial_scores": _scores(data, data.trials),
        "finalist_scores": _scores(data, data.finalists),
        "best_of_networks": _best_of_networks(data),
        "choices": choices(data),
        "reference_on_eval": max(data.histories["reference"]["val_accuracy"]),
        "counted_on_eval": functools.partial(counted_on_eval, images=data.data.totals.get(EVAL, 0)),
        "chosen_cost": _chosen_cost(data),
        "reference_costs": {
            cost: value for cost, value in costs_of(data, data.reference).items() if not in_another_format(data, cost)
        },
        "captions": {cost: _caption(data, cost) for cost in COST_TITLES},
    }
    return context, {f"{prefix}{name}": spec for name, spec in specs.items()}


def _file(name: str) -> str:
    return (Path(__file__).parent / "page_files" / name).read_text(encoding="utf-8")


@functools.cache
def _vega() -> str:
    """Returns Vega, Vega-Lite and Vega-Embed in one script, which sets ``window.vegaEmbed``."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")


def _static(spec: Spec) -> str:
    """Returns a chart as SVG, with a description and the page's colours."""
    fixed: dict[str, Any] = {**spec, "width": STATIC_WIDTH}
    svg = vl_convert.vegalite_to_svg(fixed)
    label = jinja2.filters.escape(spec["description"])
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _segments(network: list[Block]) -> list[Segment]:
    return [Segment(state, list(blocks)) for state, blocks in groupby(network, key=lambda block: block.state)]


def _counted(data: ReportData) -> list[str]:
    """Returns the classes whose images are listed: all, in the order of the model's outputs, or only the smallest."""
    totals = Counter[str]()
    for counts in data.data.images.values():
        totals.update(counts)
    if not totals:
        return []
    names = with_new_classes(data.predictions.classes, totals)
    return names if len(names) <= MOST_CLASSES else sorted(names, key=totals.__getitem__)[:MOST_CLASSES]


def _worsened(data: ReportData) -> Iterator[WorsenedClass]:
    """Yields the classes that lost the most accuracy, with examples."""
    compared = data.predictions
    for number in worst_hit(compared.reference, compared.compressed):
        before, after = compared.reference[number], compared.compressed[number]
        name = compared.classes[number]
        yield WorsenedClass(
            name, before.get(number, 0), after.get(number, 0), sum(before.values()), compared.changed.get(name, [])
        )


def _accuracy_change(data: ReportData) -> str:
    """Returns the change of accuracy for the headline."""
    if phrases.is_difference(data.change):
        return f"{100 * data.change.value:+.1f} points of accuracy"
    return "no difference in accuracy measured"


def _format_verdict(data: ReportData, name: str) -> str:
    """Returns whether a TFLite model passed and was pushed."""
    verdict = data.verdict.formats.get(name)
    if verdict is None:
        return "not judged"
    if not verdict.blessed:
        return "left out"
    return "passed, pushed" if data.pushed_to and data.verdict.blessed else "passed"


def _card(pushed_to: str | None, folder: Path | None) -> Card | None:
    """Returns the location of the pushed model's card; None if there is none, as on an endpoint."""
    if not _is_in_directory(pushed_to):
        return None
    assert pushed_to is not None
    place = card_path(pushed_to)
    if folder is None or "://" in place or not Path(place).resolve().is_relative_to(folder.resolve()):
        return Card(place, is_link=False)
    return Card(quote(Path(place).resolve().relative_to(folder.resolve()).as_posix()), is_link=True)


def _is_in_directory(pushed_to: str | None) -> bool:
    """Returns whether a model was pushed, and to a directory rather than an endpoint on Vertex AI."""
    return pushed_to is not None and not pushed_to.startswith("projects/")


def _snippets(data: ReportData) -> list[Snippet]:
    """Returns code that uses the pushed model or, if it was not pushed to a directory, the run's own copy."""
    is_version = _is_in_directory(data.pushed_to)
    model = data.pushed_to if is_version and data.pushed_to else f"{data.artifacts['compressed']}/{_SAVED_MODEL}"
    verdicts = data.verdict.formats
    available = {
        name: one.file
        for name, one in data.formats.items()
        if name not in verdicts or verdicts[name].blessed or not is_version  # a pushed version lacks failed ones
    }
    passed_first = sorted(available, key=lambda name: name in verdicts and not verdicts[name].blessed)
    formats = {name: available[name] for name in passed_first}
    return snippets(model, node_id(data.name, data.member), formats, is_version=is_version)


def _eval_split(data: ReportData) -> str:
    """Returns the name of the eval split, with its size if known."""
    images = data.data.totals.get(EVAL)
    return f"{images:,} images of the eval split" if images else "eval split"


def _scores(data: ReportData, tried: Sequence[Trial | Finalist]) -> list[str]:
    """Returns the count and interval of each accuracy; empty if the size of the eval split is unknown."""
    images = data.data.totals.get(EVAL)
    return [counted_on_eval(one.accuracy, images) for one in tried] if images else []


def _best_of_networks(data: ReportData) -> list[tuple[int, Trial]]:
    """Returns the rank and the best trial of each backbone at each image size; empty if there is only one."""
    best: dict[str, tuple[int, Trial]] = {}
    for place, trial in enumerate(data.trials):
        best.setdefault(trial.network, (place, trial))
    return list(best.values()) if len(best) > 1 else []


def _chosen_cost(data: ReportData) -> str | None:
    """Returns the cost that the search saved, where it is neither parameters nor MACs, which are always shown."""
    cost = data.config.get("search", {}).get("objective", {}).get("cost")
    return cost if cost in ("bytes", "latency", "memory") else None


def _caption(data: ReportData, cost: str) -> str:
    """Returns a caption that says for how many trials a cost is known, and how it was measured."""
    known = sum(cost in trial.costs for trial in data.trials)
    sentences = ["The line is the front: trials that no cheaper one matches."]
    if data.finalists:
        sentences.append("Small rings are the finalists after their short retraining.")
    if known < len(data.trials):
        why = (
            " (each needs a conversion, so only trials that no smaller trial matches are measured)"
            if cost in ("bytes", "latency", "memory")
            else ""
        )
        sentences.append(f"Known for {known} of {len(data.trials)} trials{why}.")
    if cost == "latency" and data.device is not None:
        sentences.append(f"All latencies are those of {data.device.source}, not of the machine that ran the pipeline.")
        return " ".join(sentences)
    if cost in ("bytes", "latency") and data.precision != "float32":
        sentences.append(f"Trials are in {data.precision}.")
    if cost == "latency":
        was_searched = data.config.get("search", {}).get("objective", {}).get("cost") == "latency"
        sentences.append(
            "Trials are shown as measured during the search; the winner and the reference model as on the model card."
            if was_searched
            else "Trials were timed next to the reference model; its latency and the winner's are on the model card."
        )
    return " ".join(sentences)
