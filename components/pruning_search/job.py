"""The description of a search, made of paths and numbers, from which every process can rebuild it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import tensorflow as tf
from pydantic import TypeAdapter

from components.storage.examples import count_classes, image_dataset
from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.families import connections_as_in, searched_connections
from compressor_lib.cuts.surgery import without_head
from compressor_lib.deployment.export import load_keras, read_classes
from compressor_lib.deployment.latency_table import DeviceYardstick, LatencyTable
from compressor_lib.deployment.precision import Precision
from compressor_lib.errors import CompressorError
from compressor_lib.features.array_store import ArrayStore
from compressor_lib.networks.resizing import resized
from compressor_lib.objective.costs import AnyYardstick, Yardstick, converted, measure_costs
from compressor_lib.pretraining.bank import TranslatorBank
from compressor_lib.pretraining.options import TranslatorOptions
from compressor_lib.search.backbones import HyperBackbones, Member, Network, in_words, passes
from compressor_lib.search.device_operators import candidate_operators
from compressor_lib.search.family import HyperFamily
from compressor_lib.search.finalists import Finalist, retrain_finalists
from compressor_lib.search.hypermodels import HyperCompressor
from compressor_lib.search.options import BackboneOptions, PruningSearchOptions, SearchOptions
from compressor_lib.search.run import run_search, trials_within_budget
from compressor_lib.search.space import SearchSpace
from compressor_lib.training.class_weights import balanced_weights
from compressor_lib.training.options import TrainingOptions

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shortlisted:
    """The connections of one network that are searched within one budget.

    Attributes:
        budget: Name of the budget; empty if it is the only one.
        backbone: Name of its backbone.
        size: Height and width of its images in pixels.
        connections: The connections.
    """

    budget: str
    backbone: str
    size: int
    connections: tuple[str, ...]


Searched = HyperBackbones | HyperFamily
"""The search space of a job: of one model, or of a family."""


def spaces_by_budget(hypermodel: Searched) -> dict[str, HyperBackbones]:
    """Returns the search space within each budget by its name, which is empty for the only one."""
    return hypermodel.members if isinstance(hypermodel, HyperFamily) else {"": hypermodel}


def views_by_budget(hypermodel: Searched) -> dict[str, SearchSpace]:
    """Returns the whole search as seen from each budget by its name, which is empty for the only one."""
    if isinstance(hypermodel, HyperFamily):
        return {budget: hypermodel.within(budget) for budget in hypermodel.members}
    return {"": hypermodel}


def networks_in(hypermodel: Searched) -> dict[Network, Member]:
    """Returns the networks that are searched within any budget."""
    return {network: one for space in spaces_by_budget(hypermodel).values() for network, one in space.members.items()}


@dataclass(frozen=True)
class SearchJob:
    """The description of a search.

    Attributes:
        reference_dir: Folder of the uncompressed classifier.
        bank_dir: Folder of the translators of its backbone.
        train: Pattern of the files with the training data.
        validation: Pattern of the files with the validation data, on which trials are ranked.
        backbone: Name of the backbone in the catalogue, or empty.
        label: Name of the backbone in the results.
        options: Options of the search.
        dropout: Dropout rate of the head.
        batch_size: Images per step.
        class_weights: ``"balanced"`` or ``"none"``.
        seed: Random seed of the search.
        retraining: How finalists are retrained; None for no finalists.
        precision: Precision of the TFLite files that are measured.
        max_cost: Cost of the uncompressed classifier; measured if None.
        known: Best hyperparameters of earlier searches, for the first trials.
        shortlisted: The networks and connections that another process chose; empty for those of the options.
    """

    reference_dir: str
    bank_dir: str
    train: str
    validation: str
    backbone: str
    label: str
    options: PruningSearchOptions
    dropout: float
    batch_size: int
    class_weights: str
    seed: int
    retraining: TrainingOptions | None = None
    precision: Precision = "float32"
    max_cost: float | None = None
    known: Sequence[dict[str, Any]] = ()
    shortlisted: Sequence[Shortlisted] = ()

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

    def hypermodel(self) -> Searched:
        """Seeds this process, loads the networks and creates the search space.

        Returns:
            The space of one model or, if the options name several budgets, of a family.

        Raises:
            CompressorError: If the bank does not fit the classifier or lacks a translator, or a connection is unknown,
                or a network cannot be built at a size, or none meets the budgets that can be counted, or the latency
                table lacks an operator of a network.
        """
        keras.utils.set_random_seed(self.seed)
        reference, class_names = load_keras(self.reference_dir), read_classes(self.reference_dir)
        options = self.options
        cost = options.objective.cost
        yardstick, max_cost = self._yardstick(reference), self.max_cost
        if cost == "latency" and yardstick is not None:
            max_cost = yardstick.milliseconds
        max_cost = max_cost or measure_costs(reference, [cost], class_names=class_names, precision=self.precision)[cost]
        features = ArrayStore(options.feature_memory_mb * 2**20)
        data: dict[int, tuple[tf.data.Dataset, tf.data.Dataset]] = {}
        members: dict[str, dict[Network, tuple[HyperCompressor, tf.data.Dataset, tf.data.Dataset]]]
        members = {budget: {} for budget in options.family}
        chosen = {(one.budget, one.backbone, one.size): one.connections for one in self.shortlisted}
        base = without_head(reference, name=self.backbone)
        bank = TranslatorBank.load(self.bank_dir, base)
        for network, member_base, connections in self.networks(base):
            _, size = network
            if size not in data:
                data[size] = self._datasets(size, reference.output_shape[-1])
            first = None
            for budget, limits in options.family.items():
                if chosen and (budget, *network) not in chosen:
                    continue
                hypermodel = HyperCompressor(
                    max_parameters=reference.count_params(),
                    num_classes=reference.output_shape[-1],
                    tau=options.tau,
                    backbone=member_base,
                    connections=chosen.get((budget, *network), connections),
                    translators=bank if member_base is base else None,  # other networks fit theirs in the search
                    train_translators=options.train_translators,
                    translator_options=TranslatorOptions(**bank.fit),
                    head_units=options.head_units or (0,),
                    tail_units=options.tail_units,
                    dropout=self.dropout,
                    learning_rates=(options.min_learning_rate, options.max_learning_rate),
                    loss="sparse_categorical_crossentropy",
                    cost=cost,
                    max_cost=max_cost,
                    budgets=limits.limits,
                    yardstick=yardstick,
                    class_names=class_names,
                    precision=self.precision,
                    feature_memory=features,
                    shares_with=first,
                )
                first = first or hypermodel
                members[budget][network] = (hypermodel, *data[size])
        spaces = {budget: HyperBackbones(of_budget) for budget, of_budget in members.items()}
        space: Searched = spaces[""] if "" in spaces else HyperFamily(spaces)
        if isinstance(space, HyperFamily):
            space.check_affordable()
        if isinstance(yardstick, DeviceYardstick) and not self.shortlisted:
            self._check_table(yardstick, space)
        networks = networks_in(space)
        if len(networks) > 1:
            logger.info(
                "%d networks run over the images once each, which takes as long as %.1f passes of the reference model",
                len(networks), passes(networks.values(), base),
            )  # fmt: skip
        return space

    def _yardstick(self, reference: keras.Model) -> AnyYardstick | None:
        """Returns what latencies are measured with; None if the search does not use them."""
        options = self.options
        if "latency" not in options.costs:
            return None
        if options.latency_table is None:
            known = self.max_cost if options.objective.cost == "latency" else None
            return Yardstick.of(reference, known, precision=self.precision)
        table = LatencyTable.read(options.latency_table)
        yardstick = DeviceYardstick(table, converted(reference, self.precision), self.precision)
        logger.info(
            "latencies are those of %s, not of this machine; the reference model takes %.4g ms",
            yardstick.in_words(), yardstick.milliseconds,
        )  # fmt: skip
        return yardstick

    def _check_table(self, yardstick: DeviceYardstick, hypermodel: Searched) -> None:
        """Refuses a latency table that lacks an operator of some network, before the first trial."""
        logger.info("checking that %s has the operators of all networks", yardstick.in_words())
        connections: dict[Network, dict[Connection, None]] = {}
        for space in spaces_by_budget(hypermodel).values():
            for network, member in space.members.items():
                connections.setdefault(network, {}).update(dict.fromkeys(member.hypermodel.connections))
        found = [
            candidate_operators(
                member.hypermodel.base,
                connections[network],
                hypermodel.num_classes,
                tail_units=self.options.tail_units,
                head_units=self.options.head_units or (0,),
                precision=self.precision,
            )
            for network, member in networks_in(hypermodel).items()
        ]
        yardstick.table.check(name for names in found for name in names)

    def networks(self, base: keras.Model) -> Iterator[tuple[Network, keras.Model, list[Connection]]]:
        """Builds the networks to search, and finds their connections; the default network comes first.

        Args:
            base: Backbone of the reference model.
        """
        own = base.input_shape[1]
        # The first network is the default: that of the reference model, if its size is searched.
        sizes = sorted(self.options.input_sizes or (own,), key=lambda size: size != own)
        chosen: dict[Network, dict[str, None]] = {}
        for one in self.shortlisted:
            chosen.setdefault((one.backbone, one.size), {}).update(dict.fromkeys(one.connections))
        connections = self.options.connections
        for size in sizes:
            network = self.label, size
            if not chosen or network in chosen:
                at_size = resized(base, size)
                wanted = list(chosen[network]) if network in chosen else connections
                found = searched_connections(at_size, self.backbone, wanted)
                yield network, at_size, found
        for backbone in self.options.backbones or ():
            for size in sizes:
                network = backbone.label, size
                if chosen and network not in chosen:
                    continue
                built = self._built(backbone, size, is_needed=bool(chosen))
                if built is None:
                    continue
                if network in chosen:
                    found = searched_connections(built, backbone.name, list(chosen[network]))
                else:
                    found = connections_as_in(base, connections, built, backbone.name)
                yield network, built, found

    def _built(self, backbone: BackboneOptions, size: int, *, is_needed: bool) -> keras.Model | None:
        """Builds a further backbone; None if its weights cannot be downloaded or read, and it is not needed."""
        keras.utils.set_random_seed(self.seed)  # random weights are the same in every process
        try:
            return backbone.build(size)
        except CompressorError as error:
            if is_needed or error.argument != "weights":
                raise
            logger.warning("%s is left out of the search: %s", in_words((backbone.label, size)), error)
            return None

    def narrowed(self, hypermodel: Searched) -> SearchJob:
        """Returns the same search with its networks and shortlists, so that no other process needs to choose them.

        Args:
            hypermodel: A hypermodel from :meth:`hypermodel`. It is narrowed too.
        """
        self._narrow(hypermodel)
        shortlisted = tuple(
            Shortlisted(budget, backbone, size, tuple(str(connection) for connection in member.hypermodel.connections))
            for budget, space in spaces_by_budget(hypermodel).items()
            for (backbone, size), member in space.members.items()
        )
        return replace(self, options=replace(self.options, shortlist=None), shortlisted=shortlisted)

    def search(self, hypermodel: Searched, directory: Path) -> kt.Tuner:
        """Runs the search in this process, alone or as one of several workers (depending on keras-tuner's environment).

        Args:
            hypermodel: A hypermodel from :meth:`hypermodel`.
            directory: Folder in which keras-tuner stores the trials.

        Returns:
            The tuner after the search.
        """
        self._narrow(hypermodel)
        default = next(iter(networks_in(hypermodel).values()))
        return run_search(
            hypermodel, default.train, default.validation, self.run_options, directory,
            class_weights=self._class_weights(hypermodel.num_classes),
        )  # fmt: skip

    def retrain_finalists(
        self, tuner: kt.Tuner, hypermodel: SearchSpace, directory: Path
    ) -> tuple[list[Finalist], keras.Model]:
        """Retrains the finalists, if there are to be any, and makes the best one the tuner's winner.

        Args:
            tuner: The tuner after the search.
            hypermodel: The search as seen from the budget of the model.
            directory: Folder for the checkpoints, from which an interrupted call resumes.

        Returns:
            The finalists, the winner first, and the winner's network.
        """
        if self.retraining is None:
            return [], tuner.load_model(trials_within_budget(tuner, hypermodel)[0])
        classes = len(read_classes(self.reference_dir))

        def datasets(size: int) -> Sequence[tf.data.Dataset]:
            return [
                image_dataset(pattern, size=size, batch_size=self.batch_size, classes=classes, shuffle_seed=seed)
                for pattern, seed in ((self.train, self.seed), (self.validation, None))
            ]

        return retrain_finalists(
            tuner,
            hypermodel,
            datasets,
            self.retraining,
            directory,
            count=self.options.finalists,
            class_weights=self._class_weights(classes),
            seed=self.seed,
        )

    def _class_weights(self, classes: int) -> list[float] | None:
        if self.class_weights == "none":
            return None
        return balanced_weights(count_classes(self.train, classes))

    def _narrow(self, hypermodel: Searched) -> None:
        if self.options.shortlist is not None:
            hypermodel.narrow_to(self.options.shortlist)

    def _datasets(self, size: int, classes: int) -> tuple[tf.data.Dataset, tf.data.Dataset]:
        train, validation = (
            image_dataset(pattern, size=size, batch_size=self.batch_size, classes=classes)
            for pattern in (self.train, self.validation)
        )
        return train, validation
