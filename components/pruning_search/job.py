"""The description of a search, made of paths and numbers, from which every process can rebuild it."""

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
from compressor_lib.deployment.precision import Precision
from compressor_lib.objective.costs import Yardstick, measure_costs
from compressor_lib.pretraining.bank import TranslatorBank
from compressor_lib.search.finalists import Finalist, retrain_finalists
from compressor_lib.search.hypermodels import HyperCompressor
from compressor_lib.search.options import PruningSearchOptions, SearchOptions
from compressor_lib.search.run import run_search
from compressor_lib.training.class_weights import balanced_weights
from compressor_lib.training.options import TrainingOptions


@dataclass(frozen=True)
class SearchJob:
    """The description of a search.

    Attributes:
        reference_dir: Folder of the uncompressed classifier.
        train: Pattern of the files with the training data.
        validation: Pattern of the files with the validation data, on which trials are ranked.
        backbone: Name of the backbone in the catalogue, or empty.
        options: Options of the search.
        dropout: Dropout rate of the head.
        batch_size: Images per step.
        class_weights: ``"balanced"`` or ``"none"``.
        seed: Random seed of the search.
        retraining: How finalists are retrained; None for no finalists.
        precision: Precision of the TFLite files that are measured.
        max_cost: Cost of the uncompressed classifier; measured if None.
        known: Best hyperparameters of earlier searches, for the first trials.
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
    retraining: TrainingOptions | None = None
    precision: Precision = "float32"
    max_cost: float | None = None
    known: Sequence[dict[str, Any]] = ()

    @classmethod
    def load(cls, path: Path) -> SearchJob:
        """Reads a description written by :meth:`save`."""
        return TypeAdapter(cls).validate_json(path.read_text())

    def save(self, path: Path) -> None:
        """Writes the description as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2))

    @property
    def run_options(self) -> SearchOptions:
        """Returns the library's options for the search."""
        tuner, trials, epochs = self.options.tuner, self.options.max_trials, self.options.max_epochs
        return SearchOptions(tuner, trials, epochs, seed=self.seed, first=self.known)

    def hypermodel(self) -> HyperCompressor:
        """Seeds this process, loads the networks and creates the search space.

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
            yardstick = Yardstick.of(reference, max_cost, precision=self.precision)
            max_cost = yardstick.milliseconds
        elif "latency" in budgets:
            yardstick = Yardstick.of(reference, precision=self.precision)
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
            max_cost=max_cost
            or measure_costs(reference, [cost], class_names=class_names, precision=self.precision)[cost],
            budgets=budgets,
            yardstick=yardstick,
            class_names=class_names,
            precision=self.precision,
            feature_memory=options.feature_memory_mb * 2**20,
        )

    def narrowed(self, hypermodel: HyperCompressor) -> SearchJob:
        """Returns the same search with its shortlist, so that no other process needs to compute it.

        Args:
            hypermodel: A hypermodel from :meth:`hypermodel`. It is narrowed too.
        """
        self._narrow(hypermodel, *self._datasets(hypermodel))
        connections = tuple(str(connection) for connection in hypermodel.connections)
        return replace(self, options=replace(self.options, connections=connections, shortlist=None))

    def search(self, hypermodel: HyperCompressor, directory: Path) -> kt.Tuner:
        """Runs the search in this process, alone or as one of several workers (depending on keras-tuner's environment).

        Args:
            hypermodel: A hypermodel from :meth:`hypermodel`.
            directory: Folder in which keras-tuner stores the trials.

        Returns:
            The tuner after the search.
        """
        train, validation = self._datasets(hypermodel)
        self._narrow(hypermodel, train, validation)
        weights = self._class_weights(hypermodel)
        return run_search(hypermodel, train, validation, self.run_options, directory, class_weights=weights)

    def retrain_finalists(
        self, tuner: kt.Tuner, hypermodel: HyperCompressor, directory: Path
    ) -> tuple[list[Finalist], keras.Model]:
        """Retrains the finalists, if there are to be any, and makes the best one the tuner's winner.

        Args:
            tuner: The tuner after the search.
            hypermodel: The hypermodel of the search.
            directory: Folder for the checkpoints, from which an interrupted call resumes.

        Returns:
            The finalists, the winner first, and the winner's network.
        """
        if self.retraining is None:
            return [], tuner.get_best_models(1)[0]

        def datasets(size: int) -> Sequence[tf.data.Dataset]:
            return [
                image_dataset(
                    pattern, size=size, batch_size=self.batch_size, classes=hypermodel.num_classes, shuffle_seed=seed
                )
                for pattern, seed in ((self.train, self.seed), (self.validation, None))
            ]

        return retrain_finalists(
            tuner,
            hypermodel,
            datasets,
            self.retraining,
            directory,
            count=self.options.finalists,
            class_weights=self._class_weights(hypermodel),
            seed=self.seed,
        )

    def _class_weights(self, hypermodel: HyperCompressor) -> list[float] | None:
        if self.class_weights == "none":
            return None
        return balanced_weights(count_classes(self.train, hypermodel.num_classes))

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
