"""Options of the hypermodels, the tuners and the whole search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

from compressor_lib.cuts.connections import Family
from compressor_lib.deployment.family import is_member_name
from compressor_lib.errors import CompressorError
from compressor_lib.networks.backbones import find_backbone
from compressor_lib.options import Each, Options, option

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class TunerOptions(Options):
    """Options of a tuner.

    Attributes:
        tuner: keras-tuner's oracle.
        max_trials: Maximum number of trials, with every tuner. Hyperband shrinks its brackets to keep to it. Hyperband
            runs fewer if max_epochs allows no more, and grid search if the grid has fewer points.
        max_epochs: Maximum number of epochs per trial.

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
        seed: Seed of the tuner, and of all weights and shuffles in the trials.
        first: Hyperparameters of the first trials, known to be good. Values outside the search space are skipped and
            logged. A resumed search keeps the ones that it started with.
    """

    seed: int = 0
    first: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class ObjectiveOptions(Options):
    """The cost that is weighed against accuracy.

    Attributes:
        cost: The cost that is weighed against accuracy, as a share of the reference model's: parameters; macs
            (multiply-adds per image); bytes (size of the TFLite file); latency (its measured time per image); or memory
            (peak memory for activations in int8). Bytes and latency are those of the smallest format that ships.
    """

    cost: Literal["parameters", "macs", "bytes", "latency", "memory"] = "parameters"


@dataclass(frozen=True)
class BudgetOptions(Options):
    """Limits that the winner must not exceed.

    Attributes:
        parameters: Maximum number of parameters; null: no limit.
        macs: Maximum multiply-adds per image; null: no limit.
        bytes: Maximum size of the TFLite file of the smallest format that ships (int8, else float16, else float32), in
            bytes; null: no limit.
        latency_ms: Maximum time per image of that file, in ms, measured with TFLite on one thread of the searching
            machine, or on the device of latency_table; null: no limit.
        memory_kb: Maximum peak memory for activations in int8, in KiB: what a microcontroller must have free in RAM;
            null: no limit.

    Raises:
        CompressorError: If a limit is not above 0.
    """

    parameters: int | None = option(None, gt=0)
    macs: int | None = option(None, gt=0)
    bytes: int | None = option(None, gt=0)
    latency_ms: float | None = option(None, gt=0)
    memory_kb: float | None = option(None, gt=0)

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, by cost."""
        limits = {
            "parameters": self.parameters, "macs": self.macs, "bytes": self.bytes, "latency": self.latency_ms,
            "memory": self.memory_kb,
        }  # fmt: skip
        return {cost: limit for cost, limit in limits.items() if limit is not None}


@dataclass(frozen=True)
class BackboneOptions(Options):
    """A backbone from the catalogue.

    Attributes:
        name: Name in the catalogue, which 'compressor backbones' lists.
        alpha: Width multiplier; MobileNets only.
        weights: imagenet (downloaded by Keras), none (random), or a weights file.

    Raises:
        CompressorError: If the name is unknown, or the backbone has no such width.
    """

    name: str
    alpha: float = option(1.0, gt=0)
    weights: str = "imagenet"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha != 1.0 and not find_backbone(self.name).has_alpha:
            raise CompressorError(f"alpha is {self.alpha}, but {self.name} has no width multiplier: leave it at 1.0.")
        find_backbone(self.name)

    @property
    def label(self) -> str:
        """Name and width in results, such as ``"MobileNetV2 0.35"``."""
        return backbone_label(self.name, self.alpha)

    def build(self, size: int) -> keras.Model:
        """Builds it without its top, for images ``[N, size, size, 3]`` of pixels in 0..255.

        Raises:
            CompressorError: See :meth:`compressor_lib.networks.backbones.Backbone.build`.
        """
        return find_backbone(self.name).build(input_size=size, weights=self.weights, alpha=self.alpha, preprocess=True)


def backbone_label(name: str, alpha: float) -> str:
    """Returns the name of a catalogue backbone in results, with its width if that is not 1."""
    return name if alpha == 1.0 else f"{name} {alpha:g}"


@dataclass(frozen=True)
class PruningSearchOptions(TunerOptions):
    """Options of the search for the connection to cut.

    Attributes:
        parallel_trials: Number of trials at a time, each in a process of its own on one machine. Above 1, the order of
            the trials, and so the choice of later ones, may vary between runs.
        shortlist: Number of connections A->B that trials are spent on: the most promising by the accuracy of a linear
            classifier on A's output and the translator's R2; null: all.
        train_translators: Whether trials train the translator along with the head, starting from the fitted weights.
            This is slower, and better if many layers are cut between A and B.
        feature_memory_mb: Memory, in MiB, for the features that the backbone computed from the images; the rest is
            stored in TMPDIR.
        tau: Weight of accuracy in the objective; the weight of the saved share of the cost is 1 - tau.
        objective: The cost to save.
        budgets: Limits that the winner must not exceed. For a family of models from one search, several named sets of
            limits, such as {tiny: {memory_kb: 256}, small: {macs: 50000000}}: for each, the best network is chosen,
            retrained, gated and pushed on its own. Trials are shared out equally among them. Names are lower-case
            letters, digits and hyphens.
        latency_table: CSV with the times of single operators on the device that the model is for, from which the search
            takes all latencies; null: they are measured on the searching machine. 'compressor latency-table' writes the
            files to measure.
        min_learning_rate: Lowest learning rate of the heads.
        max_learning_rate: Highest learning rate of the heads.
        input_sizes: Heights and widths of the images, in pixels, at which the backbone is searched; null: that of the
            reference model and, if MACs, latency or memory are saved or limited, up to four smaller ones (a backbone
            from the catalogue only). The compressed model takes images of the size that it was found at.
        backbones: Further backbones to search, besides the reference model's, each at every input size: entries with a
            name from the catalogue, alpha and weights, or names alone; null: none or, if MACs, latency or memory are
            saved or limited and the reference model starts from ImageNet weights, up to three narrower relatives.
            Weights that cannot be downloaded or read are reported, and their backbone is left out.
        connections: The cuts to search, each written A->B: layer A is the last one before the cut, and layer B, to
            which a translator leads from A, is the first one after it. published: the pairs of the papers; rejoining:
            pairs from the whole graph; truncation: cuts directly to the head; tail: cuts with a narrow tail in front
            of the head; all: published (rejoining for a model of your own), truncation and tail; or a list such as
            ['block_5_add->Conv_1', '53,151', 'block_5_add->head', 'block_5_add->tail'], of which further backbones
            take those that they have.
        finalists: Number of networks that compete for the winner by their accuracy after a short retraining, which may
            rank them differently; 1: the best trial wins.
        finalist_epochs: Number of epochs for which each finalist is retrained, with the section retrain but no teacher.
        tail_units: Widths of the tail to search.
        head_units: Widths of the head to search; null: only that of the reference model's head.

    Raises:
        CompressorError: If a value is out of range, an input size or a backbone is listed twice, min_learning_rate is
            above max_learning_rate, there is a latency_table but latency is neither saved nor limited, or a family or a
            set of its limits is empty, a name is not allowed, or there are fewer trials than sets of limits.
    """

    parallel_trials: int = option(1, gt=0)
    shortlist: int | None = option(None, gt=0)
    train_translators: bool = False
    feature_memory_mb: int = option(4096, ge=0)
    tau: float = option(0.8, ge=0, le=1)
    objective: ObjectiveOptions = ObjectiveOptions()
    budgets: BudgetOptions | Mapping[str, BudgetOptions] = BudgetOptions()
    latency_table: str | None = None
    min_learning_rate: float = option(1e-3, gt=0)
    max_learning_rate: float = option(1e-2, gt=0)
    input_sizes: tuple[Annotated[int, Each(ge=32)], ...] | None = option(None, min_length=1)
    backbones: tuple[BackboneOptions, ...] | None = None
    connections: Family | tuple[str, ...] = "all"
    finalists: int = option(1, gt=0)
    finalist_epochs: int = option(3, gt=0)
    tail_units: tuple[Annotated[int, Each(gt=0)], ...] = option((128, 256, 512), min_length=1)
    head_units: tuple[Annotated[int, Each(ge=0)], ...] | None = option(None, min_length=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_learning_rate > self.max_learning_rate:
            raise CompressorError(
                f"min_learning_rate is {self.min_learning_rate}, above max_learning_rate "
                f"{self.max_learning_rate}: swap them."
            )
        if not isinstance(self.budgets, BudgetOptions):
            _check_family(self.budgets, self.max_trials)
        if self.latency_table is not None and "latency" not in self.costs:
            raise CompressorError(
                f"latency_table is {self.latency_table!r}, but latency is neither saved nor limited: set "
                "objective.cost to latency or budgets.latency_ms, or remove it."
            )
        _check_once("backbones", [backbone.label for backbone in self.backbones or ()], "backbone")
        _check_once("input_sizes", self.input_sizes or (), "size")

    @property
    def family(self) -> dict[str, BudgetOptions]:
        """The limits by the name of the model that must keep to them; an empty name for the only model."""
        return {"": self.budgets} if isinstance(self.budgets, BudgetOptions) else dict(self.budgets)

    @property
    def costs(self) -> set[str]:
        """The costs that are saved, or that any budget limits."""
        return {self.objective.cost, *(cost for budget in self.family.values() for cost in budget.limits)}


def shared_out(trials: int, budgets: int) -> list[int]:
    """Returns the number of trials for each budget: equal shares, of which the first ones get the remainder.

    Raises:
        CompressorError: If there are fewer trials than budgets.

    Example:
        >>> shared_out(8, 3)
        [3, 3, 2]
    """
    if trials < budgets:
        raise CompressorError(
            f"max_trials is {trials}, fewer than the {budgets} budgets: allow at least one trial for each."
        )
    return [trials // budgets + (number < trials % budgets) for number in range(budgets)]


def _check_family(budgets: Mapping[str, BudgetOptions], trials: int) -> None:
    if not budgets:
        raise CompressorError("budgets is empty: name at least one set of limits, or remove it.")
    limits = [limit.name for limit in fields(BudgetOptions)]
    for name, budget in budgets.items():
        if name in limits:
            raise CompressorError(f"budgets has the name {name!r}, which is that of a limit: choose another name.")
        if not is_member_name(name):
            raise CompressorError(
                f"budgets has the name {name!r}: it must be lower-case letters, digits and hyphens, "
                "30 at most, a letter first and no hyphen last."
            )
        if not budget.limits:
            raise CompressorError(f"budgets has no limit for {name!r}: give it one, such as parameters, or remove it.")
    shared_out(trials, len(budgets))


def _check_once(field: str, values: Sequence[Any], kind: str) -> None:
    if twice := [value for value in dict.fromkeys(values) if values.count(value) > 1]:
        raise CompressorError(f"{field} lists {twice[0]} twice: list each {kind} once.")
