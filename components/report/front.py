"""The front of a search: the trials that no cheaper trial matches in accuracy, and how charts mark trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components.report.data import Finalist, Trial

Spec = dict[str, Any]

FAMILIES = {"tail": "circle", "rejoining": "square", "truncation": "triangle-up"}
"""Families of connections and their shapes."""

_SHAPES = ("circle", "square", "triangle-up", "triangle-down", "cross", "diamond")
_COLOURS = ("tail", "rejoining", "truncation", "fourth", "fifth", "sixth")


def front(trials: Sequence[Trial], cost: str) -> list[Trial]:
    """Returns the trials with a known cost that are more accurate than all cheaper ones, the cheapest first."""
    known = [trial for trial in trials if cost in trial.costs]
    found: list[Trial] = []
    for trial in sorted(known, key=lambda trial: (trial.costs[cost], -trial.accuracy)):
        if not found or trial.accuracy > found[-1].accuracy:
            found.append(trial)
    return found


def marking(trials: Sequence[Trial]) -> Spec:
    """Returns the encoding of colour and shape, for points with the fields of :func:`marked`.

    If the search had a choice of networks, the colour shows the backbone and the shape the image size, otherwise both
    show the family of the connection.
    """
    backbones = sorted({trial.backbone for trial in trials})
    sizes = sorted({trial.input_size for trial in trials})
    if len(backbones) == len(sizes) == 1:
        families = [family for family in FAMILIES if any(trial.family == family for trial in trials)]
        return {
            "color": _scale("family", families, [_colour(family) for family in families]),
            "shape": _scale("family", families, [FAMILIES[family] for family in families]),
        }
    colours = [_colour(_COLOURS[place % len(_COLOURS)]) for place in range(len(backbones))]
    shapes = [_SHAPES[place % len(_SHAPES)] for place in range(len(sizes))]
    return {
        "color": _scale("backbone", backbones, colours),
        "shape": _scale("size", [f"{size} px" for size in sizes], shapes),
    }


def marked(trial: Trial) -> Spec:
    """Returns the fields of a trial that :func:`marking` reads."""
    return {"family": trial.family, "backbone": trial.backbone, "size": f"{trial.input_size} px"}


def trial_of(finalist: Finalist, trials: Sequence[Trial]) -> Trial | None:
    """Returns the best trial of a finalist's network; None if there is none."""
    network = finalist.backbone, finalist.input_size, finalist.connection, finalist.parameters
    return next(
        (
            trial
            for trial in trials
            if (trial.backbone, trial.input_size, trial.connection, trial.costs.get("parameters")) == network
        ),
        None,
    )


def _scale(field: str, domain: Sequence[str], values: Sequence[str]) -> Spec:
    return {"field": field, "scale": {"domain": domain, "range": values}}


def _colour(name: str) -> str:
    return f"var(--{name})"
