"""The record of what was measured, and the tables made from it."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.quality.budgets import Budget


@dataclass(frozen=True)
class Result:
    """One network, trained and tested.

    Attributes:
        method: The method that made it.
        budget: Name of the budget that it meets; empty for the reference model and for methods without a budget.
        network: The network in words: backbone, image size and connection.
        parameters: Number of parameters of the classifier.
        macs: Multiply-adds per image.
        epochs: Number of epochs that it was trained for.
        minutes: Time that its training took, without the search.
        validation: Accuracy on the validation split, at the best epoch.
        right: For each image of the test split, ``1`` if it was classified correctly, otherwise ``0``.
    """

    method: str
    budget: str
    network: str
    parameters: int
    macs: int
    epochs: int
    minutes: float
    validation: float
    right: str

    @property
    def accuracy(self) -> float:
        """Accuracy on the test split."""
        return self.right.count("1") / len(self.right)


REFERENCE = "reference"
SEARCHED = "searched"


class Records:
    """Results in a file, one per line, so that an interrupted run resumes."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __iter__(self) -> Iterator[Result]:
        for line in self._file.read_text().splitlines() if self._file.exists() else ():
            yield Result(**json.loads(line))

    def find(self, method: str, budget: str) -> Result | None:
        """Returns what was measured of a method within a budget."""
        return next((result for result in self if (result.method, result.budget) == (method, budget)), None)

    def add(self, result: Result) -> None:
        """Writes a result at the end."""
        with self._file.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")


HEADER = (
    "method", "network", "parameters saved, %", "MACs saved, %", "validation, %", "test, %", "against reference",
    "against searched",
)  # fmt: skip


def rows_within(budget: Budget, seeds: Sequence[Sequence[Result]]) -> list[tuple[object, ...]]:
    """Computes a row for each method within a budget: means over seeds, and paired differences.

    A difference is shown with its standard error, which is computed from the test images that only one of the two
    networks classifies correctly.

    Args:
        budget: The budget.
        seeds: The results of each seed. Only seeds with the reference model and the method count.
    """
    rows: list[tuple[object, ...]] = []
    methods = dict.fromkeys(result.method for results in seeds for result in results if result.budget == budget.name)
    for method in methods:
        found = [
            (_one(one, REFERENCE, ""), _one(one, SEARCHED, budget.name), _one(one, method, budget.name))
            for one in seeds
        ]
        known = [(reference, ours, one) for reference, ours, one in found if reference and one]
        ones = [one for _, _, one in known]
        pairs = [(one, ours) for _, ours, one in known if ours and method != SEARCHED]
        rows.append(
            (
                method,
                " / ".join(dict.fromkeys(one.network for one in ones)),
                _mean(100 * (1 - one.parameters / reference.parameters) for reference, _, one in known),
                _mean(100 * (1 - one.macs / reference.macs) for reference, _, one in known),
                _mean(100 * one.validation for one in ones),
                _mean(100 * one.accuracy for one in ones),
                difference((one, reference) for reference, _, one in known),
                difference(pairs) if pairs else "",
            )
        )
    return rows


def difference(pairs: Iterable[tuple[Result, Result]]) -> str:
    """Returns the mean difference in test accuracy and its standard error, in points, such as ``"-0.5 +- 0.9"``."""
    means, variances = [], []
    for one, other in pairs:
        gained = sum(a > b for a, b in zip(one.right, other.right, strict=True))
        lost = sum(a < b for a, b in zip(one.right, other.right, strict=True))
        images = len(one.right)
        mean = (gained - lost) / images
        means.append(mean)
        variances.append(((gained + lost) / images - mean**2) / images)
    error = math.sqrt(sum(variances)) / len(variances)
    return f"{100 * statistics.mean(means):+.1f} +- {100 * error:.1f}"


def _one(results: Iterable[Result], method: str, budget: str) -> Result | None:
    return next((result for result in results if (result.method, result.budget) == (method, budget)), None)


def _mean(values: Iterable[float]) -> str:
    return f"{statistics.mean(values):.1f}"
