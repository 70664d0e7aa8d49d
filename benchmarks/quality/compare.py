"""The comparison of methods on a data set, over seeds, as tables by budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from benchmarks.data import ImageSet
from benchmarks.quality.budgets import BOTH, MACS, PARAMETERS, Budget
from benchmarks.quality.experiment import BACKBONE, Effort, Experiment
from benchmarks.quality.results import HEADER, REFERENCE, Result, rows_within
from benchmarks.tables import show
from compressor_lib.search.options import SearchOptions
from compressor_lib.training.options import ReferenceOptions


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        effort: How much is computed for each network.
        budgets: The budgets, the most important first.
        seeds: Seeds, for each of which everything is run once.
        limits: Maximum number of images, by split; all of a split that is missing.
    """

    effort: Effort
    budgets: Sequence[Budget]
    seeds: Sequence[int]
    limits: dict[str, int]


SHORT = Plan(
    Effort(
        size=96,
        sizes=(64, 96),
        reference=ReferenceOptions(head_epochs=2, epochs=4, learning_rate=3e-4),
        search=SearchOptions(max_epochs=10),
    ),
    budgets=(BOTH[0],),
    seeds=(0,),
    limits={"train": 1024, "validation": 128, "test": 128},
)
FULL = Plan(
    Effort(
        size=224,
        sizes=(224, 192, 160, 128, 96),
        reference=ReferenceOptions(head_epochs=2, epochs=6, learning_rate=3e-4),
        search=SearchOptions(max_trials=90, max_epochs=30),
    ),
    budgets=(BOTH[0], MACS[0], PARAMETERS[0], MACS[1], PARAMETERS[1], BOTH[1], MACS[2], PARAMETERS[2]),
    seeds=(0, 1, 2),
    limits={"train": 1024},
)


def compare(images: ImageSet, plan: Plan, seeds: Sequence[int] = ()) -> None:
    """Measures every method within every budget, and prints a table for each budget.

    Args:
        images: The data set.
        plan: What is compared.
        seeds: Seeds to run; empty for all of the plan.
    """
    results: list[list[Result]] = []
    for seed in seeds or plan.seeds:
        results.append(Experiment(images, plan.effort, seed).measure(plan.budgets))
        keras.backend.clear_session()
    tables(images, plan, results)


def tables(images: ImageSet, plan: Plan, results: Sequence[Sequence[Result]]) -> None:
    """Prints a table for each budget.

    Args:
        images: The data set.
        plan: What was compared.
        results: The results of each seed.
    """
    references = [result for found in results for result in found if result.method == REFERENCE]
    about = (
        f"{BACKBONE}, {plan.effort.size} px, {images.name}: {images.count('train')} training, "
        f"{images.count('validation')} validation, {images.count('test')} test images; reference: "
        f"{', '.join(f'{100 * one.accuracy:.2f}' for one in references)} % on test images, as much compute for every "
        f"other network; seeds: {len(references)}"
    )
    for number, budget in enumerate(plan.budgets):
        if rows := rows_within(budget, results):
            show(f"quality-{images.name}-{number}", f"{budget.name}. {about}", HEADER, rows)
