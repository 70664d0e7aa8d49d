"""All networks of one data set and one seed: the reference model, what the search finds, and the rivals."""

from __future__ import annotations

import bisect
import hashlib
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import keras
import keras_tuner as kt
import numpy as np
import tensorflow as tf

from benchmarks.data import SPLITS, ImageSet
from benchmarks.quality.budgets import Budget
from benchmarks.quality.magnitude_pruning import magnitude_pruned
from benchmarks.quality.narrowing import Narrowing
from benchmarks.quality.results import REFERENCE, SEARCHED, Records, Result
from benchmarks.tables import RESULTS
from compressor_lib.cuts.families import searched_connections
from compressor_lib.cuts.surgery import create_submodel, without_head
from compressor_lib.networks.backbones import find_backbone
from compressor_lib.networks.batch_norm_folding import folded
from compressor_lib.networks.heads import attach_head
from compressor_lib.networks.macs import multiply_adds
from compressor_lib.networks.resizing import resized
from compressor_lib.search.backbones import HyperBackbones, Network, in_words
from compressor_lib.search.hypermodels import HyperCompressor
from compressor_lib.search.options import SearchOptions, backbone_label
from compressor_lib.search.run import run_search, trials_within_budget
from compressor_lib.training.options import ReferenceOptions, RetrainingOptions, TrainingOptions
from compressor_lib.training.train import train

logger = logging.getLogger(__name__)

BACKBONE = "MobileNetV2"
WEIGHTS = {1.0: "mobilenet_v2_1.0_224_no_top.h5", 0.35: "mobilenet_v2_0.35_224_no_top.h5"}
NARROW = 0.35

TRUNCATION = "truncation alone"
TRUNCATION_AND_SIZE = "truncation and image size"
SIZE = "image size alone"
WIDTH = f"{BACKBONE} {NARROW}, at the largest size"
MAGNITUDE = "every layer narrowed by L1 norm"
NARROWED = "late blocks narrowed, at the searched image size"
_LATE = range(7, 14)
_CUTS = ("block_13_project_BN", "block_12_add", "block_10_project_BN")
_LEAST_WIDTH = 0.1


@dataclass(frozen=True)
class Effort:
    """How much is computed.

    Attributes:
        size: Height and width of the reference model's images, in pixels.
        sizes: Those at which networks are searched, the reference's included.
        reference: Options of the reference model's training. Every other network is trained with the same compute.
        search: Options of the search.
    """

    size: int
    sizes: Sequence[int]
    reference: ReferenceOptions
    search: SearchOptions


class Made(NamedTuple):
    """A network before its training.

    Attributes:
        model: The classifier.
        name: The network in words.
        has_trained_head: Whether its head was trained, in a search or with the reference model.
        has_own_statistics: Whether its batch normalisation has the statistics of its own channels. Narrower layers
            change the inputs of those behind them.
    """

    model: keras.Model
    name: str
    has_trained_head: bool
    has_own_statistics: bool = True


class Experiment:
    """All measurements for one data set and seed, in one process."""

    def __init__(self, images: ImageSet, effort: Effort, seed: int) -> None:
        self.images, self.effort, self.seed = images, effort, seed
        batch_norm: Literal["frozen", "train"] = "frozen" if images.weights else "train"  # learnt from scratch
        self.reference_options = replace(effort.reference, batch_norm=batch_norm)
        self.retraining = RetrainingOptions(batch_norm=batch_norm, compute=effort.reference.compute)
        digest = hashlib.sha256(repr((effort, images.count(*SPLITS))).encode()).hexdigest()[:8]
        self.folder = RESULTS / f"{images.name}-{digest}-seed{seed}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.records = Records(self.folder / "results.jsonl")
        self._searches = tempfile.TemporaryDirectory()

    def measure(self, budgets: Sequence[Budget]) -> list[Result]:
        """Measures the reference model, and every method within every budget; what is recorded is not measured again.

        Returns:
            The results of this seed.
        """
        if self.records.find(REFERENCE, "") is None:
            started = time.monotonic()
            _ = self.reference
            minutes = (time.monotonic() - started) / 60
            epochs = self.effort.reference.head_epochs + self.effort.reference.epochs
            self._record(REFERENCE, "", f"{BACKBONE}, {self.effort.size} px", self.reference, epochs, minutes)
        for budget in budgets:
            for method, make in self.methods(budget):
                if self.records.find(method, budget.name) is None:
                    self._measure(method, budget, make)
        return list(self.records)

    def methods(self, budget: Budget) -> Iterator[tuple[str, Callable[[Budget], Made | None]]]:
        """Yields the methods that can meet a budget, by name."""
        yield SEARCHED, self.searched
        yield TRUNCATION, self.truncated
        if "macs" in budget.saved:
            yield TRUNCATION_AND_SIZE, self.truncated_and_resized
        if set(budget.saved) == {"macs"}:
            yield SIZE, self.resized
        yield WIDTH, self.narrow
        yield MAGNITUDE, self.magnitude_pruned
        yield NARROWED, self.narrowed

    def _measure(self, method: str, budget: Budget, make: Callable[[Budget], Made | None]) -> None:
        keras.utils.set_random_seed(self.seed)
        logger.info("%s, %s: %s", self.images.name, budget.name, method)
        made = make(budget)
        if made is None:
            logger.info("no network of this kind meets the budget")
            return
        started = time.monotonic()
        options = self.retraining
        if not made.has_trained_head:
            options = replace(options, head_epochs=self.effort.reference.head_epochs)
        if not made.has_own_statistics:
            options = replace(options, batch_norm="train")
        history = self.trained(made.model, options, f"{method} {budget.name}")
        minutes = (time.monotonic() - started) / 60
        self._record(method, budget.name, made.name, made.model, len(history["loss"]), minutes)

    def _record(self, method: str, budget: str, network: str, model: keras.Model, epochs: int, minutes: float) -> None:
        size = model.input_shape[1]
        validation = model.evaluate(self.dataset("validation", size), verbose=0, return_dict=True)["accuracy"]
        predicted = model.predict(self.dataset("test", size), verbose=0).argmax(axis=-1)
        right = predicted == np.asarray(self.images.labels["test"])
        result = Result(
            method, budget, network, model.count_params(), multiply_adds(model), epochs, round(minutes, 1), validation,
            "".join(map(str, right.astype(int))),
        )  # fmt: skip
        logger.info("%s, %s: %s: %.2f %%", self.images.name, budget, method, 100 * result.accuracy)
        self.records.add(result)
        model.save(self._file(method, budget))

    def _file(self, method: str, budget: str) -> Path:
        return self.folder / f"{f'{method} {budget}'.strip().replace(' ', '-')}.keras"

    @cached_property
    def reference(self) -> keras.Model:
        """The trained whole network, from its file if that exists."""
        file = self.folder / "reference.keras"
        if not file.exists():
            keras.utils.set_random_seed(self.seed)
            model = self._with_head(self.backbone(1.0, self.effort.size))
            train(
                model,
                self.dataset("train", self.effort.size, shuffled=True),
                self.dataset("validation", self.effort.size),
                TrainingOptions(**vars(self.reference_options)),
                checkpoint=self.folder / "reference.npz",
                seed=self.seed,
            )
            model.save(draft := file.with_suffix(".new.keras"))
            draft.rename(file)
        return keras.models.load_model(file, safe_mode=True)

    @cached_property
    def teacher(self) -> keras.Model:
        """The reference model as the pipeline's Trainer uses it."""
        return folded(self.reference)

    @cached_property
    def base(self) -> keras.Model:
        """The backbone of the reference model."""
        return without_head(self.reference)

    @cached_property
    def costs(self) -> dict[str, float]:
        """The reference model's costs that budgets limit."""
        return {"parameters": self.reference.count_params(), "macs": multiply_adds(self.reference)}

    def backbone(self, alpha: float, size: int) -> keras.Model:
        """Builds a pretrained backbone."""
        return find_backbone(BACKBONE).build(
            input_size=size, weights=self.images.weights_file(WEIGHTS[alpha]), alpha=alpha, preprocess=True
        )

    def dataset(self, split: str, size: int, *, shuffled: bool = False) -> tf.data.Dataset:
        """Returns a split's images at a size."""
        return self.images.dataset(split, size, shuffle_seed=self.seed if shuffled else None)

    def trained(self, model: keras.Model, options: TrainingOptions, name: str) -> dict[str, list[float]]:
        """Trains a network in place, with the reference model as its teacher.

        The teacher's predictions are computed once for each image size, but every network pays for them from its
        budget.
        """
        size = model.input_shape[1]
        train_dataset = self.dataset("train", size, shuffled=True)
        pairs = None
        if size != self.effort.size:
            own, teachers = self.dataset("train", size), self.dataset("train", self.effort.size)
            pairs = tf.data.Dataset.zip(own, teachers).map(lambda one, other: ((one[0], other[0]), one[1]))
        folder = self.folder / "checkpoints"
        folder.mkdir(exist_ok=True)
        checkpoint = folder / f"{name.replace(' ', '-').replace('%', '').replace('.', '')}.npz"
        views, kept = checkpoint.with_suffix(".teacher"), folder / f"{size}-px.teacher"
        if kept.exists() and not views.exists():
            shutil.copytree(kept, views)
        history = train(
            model,
            train_dataset,
            self.dataset("validation", size),
            options,
            teacher=self.teacher,
            teacher_dataset=pairs,
            checkpoint=checkpoint,
            seed=self.seed,
        )
        if kept.exists():
            shutil.rmtree(views)
        else:
            views.rename(kept)
        checkpoint.unlink()
        return history

    def searched(self, budget: Budget) -> Made:
        """The best network of a search over image sizes, backbones and connections."""
        members = {(backbone_label(BACKBONE, alpha), size): alpha for alpha in WEIGHTS for size in self.effort.sizes}
        return self._searched(budget, members, "all")

    def truncated(self, budget: Budget) -> Made:
        """The best truncation of the backbone, at the reference's size."""
        return self._searched(budget, {(BACKBONE, self.effort.size): 1.0}, "truncation")

    def truncated_and_resized(self, budget: Budget) -> Made:
        """The best truncation of the backbone, at any size."""
        return self._searched(budget, {(BACKBONE, size): 1.0 for size in self.effort.sizes}, "truncation")

    def resized(self, budget: Budget) -> Made | None:
        """The whole reference model at the largest size."""
        for size in self._smaller_sizes():
            if self._is_within(model := resized(self.reference, size), budget):
                return Made(model, f"{BACKBONE}, {size} px", has_trained_head=True)
        return None

    def narrow(self, budget: Budget) -> Made | None:
        """The narrower relative at the largest size."""
        for size in self._smaller_sizes():
            model = self._with_head(self.backbone(NARROW, size))
            if self._is_within(model, budget):
                return Made(model, f"{BACKBONE} {NARROW}, {size} px", has_trained_head=False)
        return None

    def magnitude_pruned(self, budget: Budget) -> Made | None:
        """The reference model with the same share of every layer's channels, as large as possible."""
        width = self._widest(lambda width: magnitude_pruned(self.reference, width), budget)
        if width is None:
            return None
        name = f"{BACKBONE}, {self.effort.size} px, {width:.0%} of the channels"
        model = magnitude_pruned(self.reference, width)
        return Made(model, name, has_trained_head=True, has_own_statistics=False)

    def narrowed(self, budget: Budget) -> Made | None:
        """The last cut with late blocks narrowed alike, as wide as possible, at the size of the searched network."""
        size = keras.models.load_model(self._file(SEARCHED, budget.name), safe_mode=True).input_shape[1]
        for cut in _CUTS:
            base = create_submodel(resized(self.base, size), f"{cut}->head")
            names = {layer.name for layer in base.layers}
            readers = [name for block in _LATE if (name := f"block_{block}_project") in names]
            narrowing = Narrowing(base, readers, self.dataset("train", size))
            width = self._widest(self._shape_of(narrowing), budget)
            if width is not None and width >= _LEAST_WIDTH:
                model = self._with_head(narrowing.narrowed(width))
                return Made(model, f"{BACKBONE}, {size} px, {cut}, {width:.0%} in late blocks", has_trained_head=False)
        return None

    def _shape_of(self, narrowing: Narrowing) -> Callable[[float], keras.Model]:
        return lambda width: self._with_head(narrowing.shape(width))

    def _with_head(self, base: keras.Model) -> keras.Model:
        return attach_head(base, self.images.classes, dropout=0.2)

    def _widest(self, network: Callable[[float], keras.Model], budget: Budget) -> float | None:
        """Returns the largest share of channels, in steps of 2 %, with which a network meets a budget."""
        widths = [percent / 100 for percent in range(98, 3, -2)]
        place = bisect.bisect_left(widths, True, key=lambda width: self._is_within(network(width), budget))
        return widths[place] if place < len(widths) else None

    def _smaller_sizes(self) -> range:
        """Multiples of 16 pixels, since the largest multiple of 32 may be far below a budget."""
        return range(self.effort.size, 31, -16)

    def _is_within(self, model: keras.Model, budget: Budget) -> bool:
        costs = {"parameters": model.count_params(), "macs": multiply_adds(model)}
        return all(costs[cost] <= limit for cost, limit in budget.limits(self.costs).items())

    def _searched(self, budget: Budget, alphas: Mapping[Network, float], connections: str) -> Made:
        """Searches as the pipeline does. Within the budget, only accuracy counts."""
        members = {}
        for network, alpha in alphas.items():
            size = network[1]
            base = resized(self.base, size) if alpha == 1.0 else self.backbone(alpha, size)
            hypermodel = HyperCompressor(
                self.reference.count_params(),
                self.images.classes,
                tau=1.0,
                backbone=base,
                connections=searched_connections(base, BACKBONE, connections),
                loss="sparse_categorical_crossentropy",
                head_units=(0,),
                dropout=0.2,
                learning_rates=(1e-3, 1e-2),
                budgets=budget.limits(self.costs),
            )
            members[network] = (hypermodel, self.dataset("train", size), self.dataset("validation", size))
        space = HyperBackbones(members)
        options = replace(self.effort.search, seed=self.seed)
        train_dataset, validation = members[next(iter(members))][1:]
        folder = Path(tempfile.mkdtemp(dir=self._searches.name))
        tuner: kt.Tuner = run_search(space, train_dataset, validation, options, folder)
        best = trials_within_budget(tuner, space)[0]
        space.release_features()
        network, connection = space.network(best.hyperparameters), space.connection(best.hyperparameters)
        model = tuner.load_model(best)
        shutil.rmtree(folder)
        return Made(model, f"{in_words(network)}, {connection}", has_trained_head=True)
