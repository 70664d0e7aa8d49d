"""What is searched, and how: the options of the hypermodels, the tuners and the whole search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from compressor_lib.cuts.family_names import Family
from compressor_lib.errors import CompressorError
from compressor_lib.support.options import Each, Options, option


@dataclass(frozen=True)
class TunerOptions(Options):
    """How to search.

    Attributes:
        tuner: keras-tuner's oracle.
        max_trials: Most trials, with every tuner. Hyperband makes its brackets smaller to keep to it, and makes fewer
            where fewer follow from max_epochs; grid search makes fewer where the grid has fewer points.
        max_epochs: Most epochs of one trial.

    Raises:
        CompressorError: If a value is out of its range.
    """

    tuner: Literal["hyperband", "bayesian", "random", "grid"] = "hyperband"
    max_trials: int = option(60, gt=0)
    max_epochs: int = option(30, gt=0)


@dataclass(frozen=True)
class SearchOptions(TunerOptions):
    """How :func:`compressor_lib.search.run.run_search` searches.

    Attributes:
        seed: Of the tuner, and of every weight and shuffle in the trials.
        first: Hyperparameters of the first trials, known to be good; what is not in the search space is passed over,
            and logged. A search that resumes keeps those that it began with.
    """

    seed: int = 0
    first: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class ObjectiveOptions(Options):
    """Which cost is weighed against accuracy.

    Attributes:
        cost: What is weighed against accuracy, as a share of the reference's: parameters; macs, the multiply-adds for
            an image; bytes of the TFLite file; or latency, its measured time for an image.
    """

    cost: Literal["parameters", "macs", "bytes", "latency"] = "parameters"


@dataclass(frozen=True)
class BudgetOptions(Options):
    """What the winner must not exceed.

    Attributes:
        parameters: Most parameters; null: any number.
        macs: Most multiply-adds for an image; null: any number.
        bytes: Largest TFLite file, in float32; null: any size.
        latency_ms: Longest time for an image, by TFLite on one thread here; null: any time.

    Raises:
        CompressorError: If one is not above 0.
    """

    parameters: int | None = option(None, gt=0)
    macs: int | None = option(None, gt=0)
    bytes: int | None = option(None, gt=0)
    latency_ms: float | None = option(None, gt=0)

    @property
    def limits(self) -> dict[str, float]:
        """The budgets that are set, by the name of their cost."""
        limits = {"parameters": self.parameters, "macs": self.macs, "bytes": self.bytes, "latency": self.latency_ms}
        return {cost: limit for cost, limit in limits.items() if limit is not None}


@dataclass(frozen=True)
class PruningSearchOptions(TunerOptions):
    """How the connection to cut is searched.

    Attributes:
        parallel_trials: Trials at a time, each in a process of its own on this machine. Above 1 the order of the
            trials, and with it what later ones try, may vary between runs.
        shortlist: How many connections trials are spent on, those that promise most by a linear classifier on what A
            computes and the translator's R2; null: all.
        train_translators: Whether trials train their translator with their head, from the fitted weights: slower, and
            better where B is far behind A.
        feature_memory_mb: Memory, in MiB, for what the backbone computed of the images; the rest goes to TMPDIR.
        tau: Weight of accuracy; 1 - tau weighs the share of the cost saved.
        objective: Which cost is saved.
        budgets: What no winner may exceed.
        min_learning_rate: Least of the heads' learning rates.
        max_learning_rate: Largest of them.
        connections: published: the papers' pairs; rejoining: pairs from everywhere in the graph; truncation: cuts
            straight to the head; tail: cuts with a narrow tail in front of the head; all: published (rejoining for a
            model of your own), truncation and tail; or a list such as
            ['block_5_add->Conv_1', '53,151', 'block_5_add->head', 'block_5_add->tail'].
        tail_units: Widths of a tail to search.
        head_units: Widths of the head to search; null: that of the reference's head alone.

    Raises:
        CompressorError: If a value is out of its range, or the least learning rate is above the largest.
    """

    parallel_trials: int = option(1, gt=0)
    shortlist: int | None = option(None, gt=0)
    train_translators: bool = False
    feature_memory_mb: int = option(4096, ge=0)
    tau: float = option(0.8, ge=0, le=1)
    objective: ObjectiveOptions = ObjectiveOptions()
    budgets: BudgetOptions = BudgetOptions()
    min_learning_rate: float = option(1e-3, gt=0)
    max_learning_rate: float = option(1e-2, gt=0)
    connections: Family | tuple[str, ...] = "all"
    tail_units: tuple[Annotated[int, Each(gt=0)], ...] = option((128, 256, 512), min_length=1)
    head_units: tuple[Annotated[int, Each(ge=0)], ...] | None = option(None, min_length=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_learning_rate > self.max_learning_rate:
            raise CompressorError(
                f"min_learning_rate is {self.min_learning_rate}, above max_learning_rate "
                f"{self.max_learning_rate}: swap them."
            )
