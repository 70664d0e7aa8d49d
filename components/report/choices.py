"""What each choice of a search gave: the best trial with one choice alone, beside the winner with all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from components.report.data import ReportData, Trial
from compressor_lib.search.options import backbone_label


@dataclass(frozen=True)
class Choice:
    """A trial that shows what one choice gave.

    Attributes:
        name: The choice.
        trial: The trial.
    """

    name: str
    trial: Trial


def choices(data: ReportData) -> list[Choice]:
    """Returns the best trial with each choice alone that was tried, and the winner; empty if only the winner is left.

    Of a smaller image or another backbone alone, the trial is the one that cuts least: a truncation with the most
    parameters of its network.
    """
    if not data.trials:
        return []
    further = {
        backbone_label(one["name"], one.get("alpha", 1.0))
        for one in data.config.get("search", {}).get("backbones") or ()
    }
    truncations = [trial for trial in data.trials if trial.family == "truncation"]

    def is_own(trial: Trial) -> bool:
        return trial.backbone not in further

    def is_full_size(trial: Trial) -> bool:
        return trial.input_size == data.reference.input_size

    alone: list[tuple[str, Iterable[Trial], Callable[[Trial], bool]]] = [
        ("a cut alone", truncations, lambda trial: is_own(trial) and is_full_size(trial)),
        ("image size alone", _least_cut(truncations), lambda trial: is_own(trial) and not is_full_size(trial)),
        ("another backbone alone", _least_cut(truncations), lambda trial: not is_own(trial) and is_full_size(trial)),
        ("all choices: the winner", data.trials[:1], lambda _: True),
    ]
    found = [(name, next(filter(is_so, trials), None)) for name, trials, is_so in alone]
    rows = [Choice(name, trial) for name, trial in found if trial is not None]
    return rows if len(rows) > 1 else []


def _least_cut(truncations: Iterable[Trial]) -> list[Trial]:
    """Returns the trials that cut least of each network, in their order."""
    most: dict[str, float] = {}
    trials = list(truncations)
    for trial in trials:
        most[trial.network] = max(most.get(trial.network, 0.0), trial.costs["parameters"])
    return [trial for trial in trials if trial.costs["parameters"] == most[trial.network]]
