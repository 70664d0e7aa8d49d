"""The options of hypermodels, tuners and the whole search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from compressor_lib.cuts.family_names import Family
from compressor_lib.errors import CompressorError
from compressor_lib.support.options import Each, Options, option


@dataclass(frozen=True)
class TunerOptions(Options):
    """Options of a tuner.

    Attributes:
        tuner: Oracle of keras-tuner.
        max_trials: Maximum number of trials, for every tuner. Hyperband shrinks its brackets to stay within it, and
            runs fewer trials if fewer follow from max_epochs. Grid search runs fewer if the grid has fewer points.
        max_epochs: Maximum number of epochs of one trial.

    Raises:
        CompressorError: If a value is out of range.
    """

    tuner: Literal["hyperband", "bayesian", "random", "grid"] = "hyperband"
    max_trials: int = option(60, gt=0)
    max_epochs: int = option(30, gt=0)


@dataclass(frozen=True)
class SearchOptions(TunerOptions):
    """Options of :func:`compressor_lib.search.run.run_search`.

    Attributes:
        seed: Random seed of the tuner, and of all weights and shuffling in the trials.
        first: Hyperparameters of the first trials, known to be good. Those outside the search space are skipped and
            logged. A resumed search keeps those that it began with.
    """

    seed: int = 0
    first: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class ObjectiveOptions(Options):
    """The cost in the search's objective.

    Attributes:
        cost: Cost that is weighed against accuracy, as a share of the reference model's: parameters; macs, the MACs
            (multiply-adds) for one image; bytes of the TFLite file; or latency, its measured time for one image.
    """

    cost: Literal["parameters", "macs", "bytes", "latency"] = "parameters"


@dataclass(frozen=True)
class BudgetOptions(Options):
    """Limits that the winner must not exceed.

    Attributes:
        parameters: Maximum number of parameters; null for any number.
        macs: Maximum number of MACs (multiply-adds) for one image; null for any number.
        bytes: Maximum size of the float32 TFLite file; null for any size.
        latency_ms: Maximum time for one image, with TFLite on one thread of this machine; null for any time.

    Raises:
        CompressorError: If a limit is not above 0.
    """

    parameters: int | None = option(None, gt=0)
    macs: int | None = option(None, gt=0)
    bytes: int | None = option(None, gt=0)
    latency_ms: float | None = option(None, gt=0)

    @property
    def limits(self) -> dict[str, float]:
        """Returns the limits that are set, by the name of the cost."""
        limits = {"parameters": self.parameters, "macs": self.macs, "bytes": self.bytes, "latency": self.latency_ms}
        return {cost: limit for cost, limit in limits.items() if limit is not None}


@dataclass(frozen=True)
class PruningSearchOptions(TunerOptions):
    """Options of the search for the connection to cut.

    Attributes:
        parallel_trials: Number of trials to run at a time, each in a separate process on this machine. Above 1, the
            order of the trials, and the values that later trials try, may vary between runs.
        shortlist: Number of connections to run trials on, chosen by the accuracy of a linear classifier on A's output
            and by the translator's R2; null for all.
        train_translators: Whether trials train their translator with their head, starting from the fitted weights.
            Slower, and better if B is far behind A.
        feature_memory_mb: Memory in MiB for the backbone's features of the images. The rest goes to TMPDIR.
        tau: Weight of accuracy; 1 - tau is the weight of the share of the cost that is saved.
        objective: The cost to save.
        budgets: Limits that the winner must not exceed.
        min_learning_rate: Smallest learning rate of a head.
        max_learning_rate: Largest learning rate of a head.
        connections: published: the pairs of the papers; rejoining: pairs from the whole graph; truncation: cuts
            directly before the head; tail: cuts with a narrow tail before the head; all: published (rejoining for a
            model of your own), truncation and tail; or a list such as ['block_5_add->Conv_1', '53,151',
            'block_5_add->head', 'block_5_add->tail'].
        tail_units: Widths of a tail to search.
        head_units: Widths of the head to search; null for only the width of the reference model's head.

    Raises:
        CompressorError: If a value is out of range, or the smallest learning rate is above the largest.
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
