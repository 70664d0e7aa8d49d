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

from components.storage.examples import count_classes, image_dataset
from compressor_lib.cuts.families import searched_connections
from compressor_lib.cuts.surgery import without_head
from compressor_lib.deployment.export import load_keras, read_classes
from compressor_lib.objective.costs import Yardstick, measure_costs
from compressor_lib.pretraining.bank import TranslatorBank
from compressor_lib.search.hypermodels import HyperCompressor
from compressor_lib.search.run import SearchOptions, run_search
from compressor_lib.training.class_weights import balanced_weights


@dataclass(frozen=True)
class SearchJob:
    """A search of the component.

    Attributes:
        reference_dir: Folder of the uncompressed classifier.
        bank_dir: Folder of its translators.
        train: Pattern of the files that trials are trained on.
        validation: Pattern of the files that they are ranked on.
        parameters: The component's execution parameters.
        max_cost: The uncompressed classifier's cost; measured if None.
        known: Hyperparameters that were the best of earlier searches, for the first trials.
    """

    reference_dir: str
    bank_dir: str
    train: str
    validation: str
    parameters: dict[str, Any]
    max_cost: float | None = None
    known: Sequence[dict[str, Any]] = ()

    @classmethod
    def load(cls, path: Path) -> SearchJob:
        """Reads what :meth:`save` wrote."""
        return cls(**json.loads(path.read_text()))

    def save(self, path: Path) -> None:
        """Writes the description as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2))

    @property
    def options(self) -> SearchOptions:
        """How to search."""
        return SearchOptions(
            tuner=self.parameters["tuner"],
            max_trials=self.parameters["max_trials"],
            max_epochs=self.parameters["max_epochs"],
            seed=self.parameters["seed"],
            first=self.known,
        )

    def hypermodel(self) -> HyperCompressor:
        """Seeds this process, loads the networks and makes the search space.

        Raises:
            CompressorError: If the bank does not fit the classifier or lacks a translator, or a connection is unknown.
        """
        exec_properties = self.parameters
        keras.utils.set_random_seed(exec_properties["seed"])
        reference, class_names = load_keras(self.reference_dir), read_classes(self.reference_dir)
        base = without_head(reference, name=exec_properties["backbone"])
        cost, budgets = exec_properties["cost"], json.loads(exec_properties["budgets"])
        yardstick, max_cost = None, self.max_cost
        if cost == "latency":
            yardstick = Yardstick.of(reference, max_cost)
            max_cost = yardstick.milliseconds
        elif "latency" in budgets:
            yardstick = Yardstick.of(reference)
        return HyperCompressor(
            max_parameters=reference.count_params(),
            num_classes=reference.output_shape[-1],
            tau=exec_properties["tau"],
            backbone=base,
            connections=searched_connections(
                base, exec_properties["backbone"], json.loads(exec_properties["connections"])
            ),
            translators=TranslatorBank.load(self.bank_dir, base),
            train_translators=bool(exec_properties["train_translators"]),
            head_units=json.loads(exec_properties["head_units"]),
            tail_units=json.loads(exec_properties["tail_units"]),
            dropout=exec_properties["dropout"],
            learning_rates=(exec_properties["min_learning_rate"], exec_properties["max_learning_rate"]),
            loss="sparse_categorical_crossentropy",
            cost=cost,
            max_cost=max_cost or measure_costs(reference, [cost], class_names=class_names)[cost],
            budgets=budgets,
            yardstick=yardstick,
            class_names=class_names,
            feature_memory=exec_properties["feature_memory_mb"] * 2**20,
        )

    def narrowed(self, hypermodel: HyperCompressor) -> SearchJob:
        """The same search with the shortlist made, so that nobody need make it again.

        Args:
            hypermodel: From :meth:`hypermodel`; it is narrowed.
        """
        self._narrow(hypermodel, *self._datasets(hypermodel))
        connections = json.dumps([str(connection) for connection in hypermodel.connections])
        return replace(self, parameters={**self.parameters, "connections": connections, "shortlist": 0})

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
        if self.parameters["class_weights"] == "balanced":
            class_weights = balanced_weights(count_classes(self.train, hypermodel.num_classes))
        return run_search(hypermodel, train, validation, self.options, directory, class_weights=class_weights)

    def _narrow(self, hypermodel: HyperCompressor, train: tf.data.Dataset, validation: tf.data.Dataset) -> None:
        if self.parameters["shortlist"]:
            hypermodel.narrow_to(self.parameters["shortlist"], train, validation)

    def _datasets(self, hypermodel: HyperCompressor) -> Sequence[tf.data.Dataset]:
        return [
            image_dataset(
                pattern,
                size=hypermodel.base.input_shape[1],
                batch_size=self.parameters["batch_size"],
                classes=hypermodel.num_classes,
            )
            for pattern in (self.train, self.validation)
        ]
