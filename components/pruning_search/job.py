"""What is searched, described by paths and numbers alone, so that every process can rebuild it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import tensorflow as tf
from pydantic import TypeAdapter

from components.storage.examples import count_classes, image_dataset
from compressor_lib.cuts.families import searched_connections
from compressor_lib.cuts.surgery import without_head
from compressor_lib.deployment.export import load_keras, read_classes
from compressor_lib.objective.costs import Yardstick, measure_costs
from compressor_lib.pretraining.bank import TranslatorBank
from compressor_lib.search.hypermodels import HyperCompressor
from compressor_lib.search.options import PruningSearchOptions, SearchOptions
from compressor_lib.search.run import run_search
from compressor_lib.training.class_weights import balanced_weights


@dataclass(frozen=True)
class SearchJob:
    """A search of the component.

    Attributes:
        reference_dir: Folder of the uncompressed classifier.
        bank_dir: Folder of its translators.
        train: Pattern of the files that trials are trained on.
        validation: Pattern of the files that they are ranked on.
        backbone: The backbone's name in the catalogue, or empty.
        options: How to search.
        dropout: In the head.
        batch_size: Images a step.
        class_weights: ``"balanced"`` or ``"none"``.
        seed: Of the search.
        max_cost: The uncompressed classifier's cost; measured if None.
        known: Hyperparameters that were the best of earlier searches, for the first trials.
    """

    reference_dir: str
    bank_dir: str
    train: str
    validation: str
    backbone: str
    options: PruningSearchOptions
    dropout: float
    batch_size: int
    class_weights: str
    seed: int
    max_cost: float | None = None
    known: Sequence[dict[str, Any]] = ()

    @classmethod
    def load(cls, path: Path) -> SearchJob:
        """Reads what :meth:`save` wrote."""
        return TypeAdapter(cls).validate_json(path.read_text())

    def save(self, path: Path) -> None:
        """Writes the description as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2))

    @property
    def run_options(self) -> SearchOptions:
        """How the library searches."""
        tuner, trials, epochs = self.options.tuner, self.options.max_trials, self.options.max_epochs
        return SearchOptions(tuner, trials, epochs, seed=self.seed, first=self.known)

    def hypermodel(self) -> HyperCompressor:
        """Seeds this process, loads the networks and makes the search space.

        Raises:
            CompressorError: If the bank does not fit the classifier or lacks a translator, or a connection is unknown.
        """
        keras.utils.set_random_seed(self.seed)
        reference, class_names = load_keras(self.reference_dir), read_classes(self.reference_dir)
        base = without_head(reference, name=self.backbone)
        options = self.options
        cost, budgets = options.objective.cost, options.budgets.limits
        yardstick, max_cost = None, self.max_cost
        if cost == "latency":
            yardstick = Yardstick.of(reference, max_cost)
            max_cost = yardstick.milliseconds
        elif "latency" in budgets:
            yardstick = Yardstick.of(reference)
        return HyperCompressor(
            max_parameters=reference.count_params(),
            num_classes=reference.output_shape[-1],
            tau=options.tau,
            backbone=base,
            connections=searched_connections(base, self.backbone, options.connections),
            translators=TranslatorBank.load(self.bank_dir, base),
            train_translators=options.train_translators,
            head_units=options.head_units or (0,),
            tail_units=options.tail_units,
            dropout=self.dropout,
            learning_rates=(options.min_learning_rate, options.max_learning_rate),
            loss="sparse_categorical_crossentropy",
            cost=cost,
            max_cost=max_cost or measure_costs(reference, [cost], class_names=class_names)[cost],
            budgets=budgets,
            yardstick=yardstick,
            class_names=class_names,
            feature_memory=options.feature_memory_mb * 2**20,
        )

    def narrowed(self, hypermodel: HyperCompressor) -> SearchJob:
        """The same search with the shortlist made, so that nobody need make it again.

        Args:
            hypermodel: From :meth:`hypermodel`; it is narrowed.
        """
        self._narrow(hypermodel, *self._datasets(hypermodel))
        connections = tuple(str(connection) for connection in hypermodel.connections)
        return replace(self, options=replace(self.options, connections=connections, shortlist=None))

    def search(self, hypermodel: HyperCompressor, directory: Path) -> kt.Tuner:
        """Searches in this process, alone or as one of several workers (keras-tuner's environment says which).

        Args:
            hypermodel: From :meth:`hypermodel`.
            directory: Where keras-tuner keeps the trials.

        Returns:
            The tuner, searched.
        """
        train, validation = self._datasets(hypermodel)
        self._narrow(hypermodel, train, validation)
        class_weights = None
        if self.class_weights == "balanced":
            class_weights = balanced_weights(count_classes(self.train, hypermodel.num_classes))
        return run_search(hypermodel, train, validation, self.run_options, directory, class_weights=class_weights)

    def _narrow(self, hypermodel: HyperCompressor, train: tf.data.Dataset, validation: tf.data.Dataset) -> None:
        if self.options.shortlist is not None:
            hypermodel.narrow_to(self.options.shortlist, train, validation)

    def _datasets(self, hypermodel: HyperCompressor) -> Sequence[tf.data.Dataset]:
        return [
            image_dataset(
                pattern,
                size=hypermodel.base.input_shape[1],
                batch_size=self.batch_size,
                classes=hypermodel.num_classes,
            )
            for pattern in (self.train, self.validation)
        ]
