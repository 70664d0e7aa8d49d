"""Hypermodels for keras-tuner, in which the place to cut a backbone (the connection) is one more hyperparameter.

Source: Camacho et al., Neurocomputing 630, 129661 (2025). Any keras-tuner tuner can search them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import tensorflow as tf

from compressor_lib.cuts.connections import Connection, ConnectionForm
from compressor_lib.cuts.families import searched_connections
from compressor_lib.cuts.lookup import find_connection
from compressor_lib.cuts.surgery import create_submodel, extend_shared
from compressor_lib.cuts.translators import TAIL_UNITS, TRANSLATOR_LAYERS
from compressor_lib.deployment.precision import Precision
from compressor_lib.errors import CompressorError
from compressor_lib.features.array_store import ArrayStore
from compressor_lib.features.cached_training import CachedTraining
from compressor_lib.networks.backbones import find_backbone
from compressor_lib.networks.graph import LayerGraph
from compressor_lib.networks.heads import attach_head
from compressor_lib.objective.costs import COUNTED, AnyYardstick, Budgets, counted_costs, find_cost, measure_costs
from compressor_lib.objective.metrics import AccuracyCompression
from compressor_lib.pretraining.bank import TranslatorBank
from compressor_lib.pretraining.options import TranslatorOptions
from compressor_lib.pretraining.taps import source_tap
from compressor_lib.pretraining.translator_fit import fit_translators
from compressor_lib.search.options import ObjectiveOptions, PruningSearchOptions
from compressor_lib.search.place import Place
from compressor_lib.search.shortlist import expected_accuracies, linear_probe, most_promising, pooled, some_examples
from compressor_lib.support.keras_settings import check_keras
from compressor_lib.support.strategies import scope_of

logger = logging.getLogger(__name__)

TRANSLATOR = "translator"
HEAD_UNITS = "top_fc1_units"
LEARNING_RATE = "lr"
TAIL_WIDTH = "tail_units"

PUBLISHED_HEAD_UNITS = range(4, 32, 8)
"""The published widths of the head's hidden layer: 4, 12, 20 and 28."""

PUBLISHED_LEARNING_RATES = (1e-5, 1e-2)
"""The published range of learning rates. The default range of a search's options starts higher."""

OVER_BUDGET = 1.0
"""By how much the score of a network over a budget is reduced."""

_FIT_ARGUMENTS = ("x", "y", "batch_size", "epochs", "verbose", "callbacks")
"""The first arguments of Keras' ``fit``, in order."""


class OverBudgetError(CompressorError):
    """No connection of a backbone meets the budgets.

    Attributes:
        excess: Largest ratio of a cost to its limit, of the connection that comes closest.
    """

    def __init__(self, message: str, excess: float) -> None:
        super().__init__(message)
        self.excess = excess


@dataclass
class _Shared:
    """What the search spaces of one backbone within different budgets have in common.

    Attributes:
        spaces: The search spaces.
        translators: Weights of the translators; None until they are fitted.
        training: Trains on the cached outputs of the backbone; None until it is needed.
        frozen: A copy of the backbone for trials; None until it is needed.
        rejoined: Sub-networks with a translator, whose layers all trials share, by connection.
        known_costs: Costs of the networks that were built, by architecture.
    """

    spaces: list[HyperCompressor]
    translators: TranslatorBank | None
    training: CachedTraining | None = None
    frozen: keras.Model | None = None
    rejoined: dict[Connection, keras.Model] = field(default_factory=dict)
    known_costs: dict[tuple[Any, ...], dict[str, float]] = field(default_factory=dict)

    @property
    def connections(self) -> list[Connection]:
        """All connections that any of the spaces searches."""
        found: dict[Connection, None] = {}
        for space in self.spaces:
            with suppress(OverBudgetError):
                found |= dict.fromkeys(space.connections)
        return list(found)


def fit_arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a call of Keras' ``fit`` by their names."""
    return dict(zip(_FIT_ARGUMENTS, args, strict=False)) | dict(kwargs)


class HyperCompressor(kt.HyperModel):
    """Searches the sub-networks of one backbone.

    Hyperparameters: ``translator`` (the connection), ``top_fc1_units`` (width of the head's hidden layer), ``lr`` and,
    if the connection is a tail, ``tail_units``. The objective is ``val_acc_comp``: ``tau * accuracy + (1 - tau) * (1 -
    parameters / max_parameters)``, or another cost instead of parameters. The score of a network over a budget is
    reduced by one, which ranks it below all networks within the budgets.

    While the backbone is frozen, as in :meth:`build`, it runs on each dataset only once for the whole search, and
    trials are trained on its cached outputs. If a subclass's :meth:`build` makes that impossible (an unfrozen backbone,
    augmentation inside the model), Keras' own ``fit`` is used.

    Example:
        >>> hypermodel = HyperCompressedMobileNetV2(max_parameters=2.3e6, num_classes=5, tau=0.4)
        >>> tuner = kt.Hyperband(
        ...     hypermodel, objective=kt.Objective("val_acc_comp", direction="max"), max_epochs=50
        ... )
        >>> tuner.search(ds_train, validation_data=ds_val)  # doctest: +SKIP
    """

    backbone_name: str | None = None
    """Catalogue entry, set by subclasses."""

    def __init__(
        self,
        max_parameters: float,
        num_classes: int,
        tau: float = PruningSearchOptions.tau,
        name: str | None = None,
        tunable: bool = True,
        *,
        weights: str | Path | None = "imagenet",
        input_shape: tuple[int, int, int] | int | None = None,
        backbone: keras.Model | None = None,
        connections: str | Sequence[ConnectionForm] | None = None,
        translators: TranslatorBank | None = None,
        head_units: Sequence[int] | None = None,
        tail_units: Sequence[int] = PruningSearchOptions.tail_units,
        dropout: float = 0.0,
        learning_rates: tuple[float, float] = PUBLISHED_LEARNING_RATES,
        loss: str | keras.losses.Loss = "categorical_crossentropy",
        cache_features: bool = True,
        feature_memory: int | ArrayStore | None = None,
        cost: str = ObjectiveOptions.cost,
        max_cost: float | None = None,
        budgets: Mapping[str, float] | None = None,
        yardstick: AnyYardstick | None = None,
        class_names: Sequence[str] | None = None,
        precision: Precision = "float32",
        train_translators: bool = PruningSearchOptions.train_translators,
        translator_options: TranslatorOptions | None = None,
        shares_with: HyperCompressor | None = None,
    ) -> None:
        """Defines the search space without building anything.

        Args:
            max_parameters: Number of parameters of the uncompressed classifier, to which compression is relative.
            num_classes: Number of classes.
            tau: Weight of accuracy in the objective, 0..1; 1 - tau is the weight of compression.
            name: Name of the hypermodel.
            tunable: As in keras-tuner.
            weights: ``"imagenet"``, a weights file without top, or None for random weights. Not used with your own
                ``backbone``.
            input_shape: Height, width and channels of the images, or one size for height and width, in pixels. The
                published size if None. Not used with your own ``backbone``.
            backbone: A functional model without a head to search instead of a catalogue backbone. Its input must match
                the datasets.
            connections: The connections to search, or a family of them (see
                :func:`compressor_lib.cuts.families.searched_connections`). If None, the published grid, or all
                connections in the graph for your own ``backbone``.
            translators: Weights of the translators. If None, they are fitted without labels on the first training data
                passed to :meth:`fit`.
            head_units: Widths of the head's hidden layer to choose from, 0 for no hidden layer. If None, the published
                4, 12, 20 and 28.
            tail_units: Widths of a tail to choose from, if connections include tails. If the chosen width exceeds a
                budget, the trial uses the next smaller width that does not, so that no trial is wasted.
            dropout: Dropout rate of the head.
            learning_rates: Lowest and highest ``lr``, sampled on a logarithmic scale.
            loss: ``"categorical_crossentropy"`` for one-hot labels, as published;
                ``"sparse_categorical_crossentropy"`` for indices.
            cache_features: Whether trials may train on cached activations. Set it to False for datasets whose images
                change in each pass (augmentation).
            feature_memory: Bytes of memory for cached activations; the rest are kept in a temporary folder. None for no
                limit. Hypermodels that share one store share its memory.
            cost: The cost to reduce, a name in ``compressor_lib.objective.costs.COSTS``. Measured costs (``"bytes"``,
                ``"latency"``, ``"memory"``) are measured once per architecture, on its TFLite file.
            max_cost: Cost of the uncompressed classifier, in the unit of ``cost``. Required, except for the cost
                ``"parameters"``, for which None means ``max_parameters``.
            budgets: Maximum costs of a network, by name. Parameters, MACs and a lower bound of the memory are counted
                without building a network, so connections that exceed these budgets even in their narrowest form are
                not searched.
            yardstick: The uncompressed classifier, next to which latencies are measured, or the table of a device that
                they are read from; None to time each network on its own.
            class_names: The class names, in the order of the outputs. They are part of the deployed TFLite file and so
                of its ``bytes``.
            precision: Precision of the TFLite file whose ``bytes`` and ``latency`` are measured.
            train_translators: Whether each trial trains its translator with its head, starting from the fitted weights.
                Slower, because the layers after B run at every step; better if a linear map explains little.
            translator_options: How translators are fitted, if none are given; None for the defaults.
            shares_with: A search space of the same backbone within other budgets. Both use the same translators and
                cached outputs of the backbone, and a trial of one also records the costs that the other limits.

        Raises:
            CompressorError: If an argument is out of range, or Keras' settings are not supported.
        """
        super().__init__(name, tunable)
        check_keras()
        if not 0 <= tau <= 1:
            raise CompressorError(f"tau is {tau}: choose a weight from 0 to 1.")
        if max_parameters <= 0:
            raise CompressorError(f"max_parameters is {max_parameters}: choose a number of parameters above 0.")
        unit = find_cost(cost).unit
        if max_cost is None and cost != "parameters":
            raise CompressorError(f"the cost {cost} needs max_cost, the {unit} of the uncompressed classifier.")
        if max_cost is not None and max_cost <= 0:
            raise CompressorError(f"max_cost is {max_cost}: choose a number of {unit} above 0.")
        if num_classes < 2:
            raise CompressorError(f"num_classes is {num_classes}: a classifier needs at least 2 classes.")
        if backbone is None and self.backbone_name is None:
            raise CompressorError("HyperCompressor needs a backbone: give one, or use one of its subclasses.")
        self.max_parameters = max_parameters
        self.num_classes = num_classes
        self.tau = tau
        self.cost = cost
        self.max_cost = max_parameters if max_cost is None else max_cost
        self.budgets = Budgets(budgets or {})
        self.yardstick = yardstick
        self._class_names = class_names
        self._precision = precision
        self.place = Place()
        self._shared: _Shared = _Shared([], translators) if shares_with is None else shares_with._shared
        self._shared.spaces.append(self)
        self._weights = weights
        self._input_shape = input_shape
        self._base = backbone
        self._wanted = connections
        self._connections: list[Connection] | None = None
        self._head_units = head_units
        self._tail_units = tail_units
        self._widths: dict[Connection, list[int]] = {}
        self._dropout = dropout
        self._learning_rates = learning_rates
        self._loss = loss
        self._cache_features = cache_features
        self._feature_memory = feature_memory
        self._train_translators = train_translators
        self._fit_options = translator_options or TranslatorOptions()

    @property
    def translators(self) -> TranslatorBank | None:
        """Weights of the translators; None until they are fitted."""
        return self._shared.translators

    @translators.setter
    def translators(self, bank: TranslatorBank | None) -> None:
        self._shared.translators = bank

    def budgets_of(self, hp: kt.HyperParameters) -> Budgets:
        """Returns the limits that a trial's score was reduced by: the same for all trials here."""
        del hp
        return self.budgets

    @property
    def base(self) -> keras.Model:
        """The whole backbone, built when it is first needed."""
        if self._base is None:
            assert self.backbone_name is not None
            self._base = find_backbone(self.backbone_name).build(input_size=self._input_shape, weights=self._weights)
        return self._base

    @property
    def connections(self) -> list[Connection]:
        """The connections to search."""
        if self._connections is None:
            wanted = self._wanted
            if wanted is None:
                wanted = "all" if self.backbone_name is None else "published"
            self._connections = self._affordable(searched_connections(self.base, self.backbone_name, wanted))
        return self._connections

    def narrow_to(self, count: int, train: tf.data.Dataset, validation: tf.data.Dataset) -> None:
        """Restricts the search to the most promising connections, see :mod:`compressor_lib.search.shortlist`.

        Each family keeps its share. The backbone runs over both datasets once; trials on the same datasets reuse its
        cached outputs.

        Args:
            count: Number of connections to keep, at least one of each family.
            train: Finite batches ``(images, labels)``, with images as the backbone takes them.
            validation: Finite batches of the same kind, on which the expected accuracies are measured.

        Raises:
            CompressorError: If ``count`` is below 1.
        """
        if count < 1:
            raise CompressorError(f"shortlist is {count}: choose 1 connection or more.")
        if self.translators is None:
            self.translators = self._training.cache.translators(train, self._fit_options)
        taps = {source_tap(self.base, connection): connection for connection in self.connections}
        probes = {tap: self._probe(connection, train, validation) for tap, connection in taps.items()}
        known = self.translators.translators
        expected = expected_accuracies(
            {connection: probes[source_tap(self.base, connection)] for connection in self.connections},
            # A translator missing in the bank is reported when it is applied, as without a shortlist.
            {each: known[str(each)].r2 or 0.0 for each in self.connections if str(each) in known},
        )
        # Bytes and latency would require building each network; they are roughly proportional to parameters.
        cost, most = (self.cost, self.max_cost) if self.cost in COUNTED else ("parameters", self.max_parameters)
        self._connections = most_promising(
            {
                connection: self.tau * accuracy + (1 - self.tau) * (1 - self._narrowest(connection)[cost] / most)
                for connection, accuracy in expected.items()
            },
            count,
        )

    def _probe(self, connection: Connection, *datasets: tf.data.Dataset) -> float:
        """Fits a linear classifier on A's pooled output on the first dataset; returns its accuracy on the second."""
        parts = []
        for dataset in datasets:
            found = self._training.cache.activations(connection, dataset)
            some = some_examples(len(found.values))
            labels = found.labels[some]
            classes = labels.reshape(-1) if labels[0].size == 1 else labels.argmax(axis=-1)
            parts.append((pooled(found.values, some), classes.astype(int)))
        return linear_probe(parts[0], parts[1], self.num_classes)

    def _affordable(self, connections: list[Connection]) -> list[Connection]:
        """Returns the connections whose narrowest form, with the published head, is within the countable budgets."""
        if not self.budgets.limits.keys() & set(COUNTED):
            return connections
        narrowest = {connection: self._narrowest(connection) for connection in connections}
        affordable = [connection for connection, costs in narrowest.items() if self.budgets.within(costs)]
        if connections and not affordable:
            nearest, costs = min(narrowest.items(), key=lambda form: self.budgets.excess(form[1]))
            raise OverBudgetError(
                f"no connection meets the budgets: the closest one, {nearest}, has {self.budgets.exceeded(costs)} "
                "in its narrowest form; raise the budget, or search connections that cut more, narrower tails, "
                "smaller images or a narrower backbone.",
                self.budgets.excess(costs),
            )
        return affordable

    def _narrowest(self, connection: Connection) -> dict[str, float]:
        """Returns the countable costs of a connection's classifier with the narrowest tail and the cheapest head."""
        return self._with_cheapest_head(connection, min(self._tail_units))

    def _with_cheapest_head(self, connection: Connection, tail_units: int) -> dict[str, float]:
        """Returns the countable costs of a connection's classifier with the head that uses least of the budgets."""
        forms = (
            counted_costs(self.base, connection, self.num_classes, tail_units=tail_units, head_units=units)
            for units in (PUBLISHED_HEAD_UNITS if self._head_units is None else self._head_units)
        )
        return min(forms, key=self.budgets.excess)

    @property
    def _training(self) -> CachedTraining:
        shared = self._shared
        if shared.training is None:
            shared.training = CachedTraining(self.base, shared.connections, memory=self._feature_memory)
        return shared.training

    def release_features(self) -> None:
        """Deletes the cached outputs of the backbone. A trial that needs them runs the backbone again."""
        self._shared.training = None

    def network(self, hp: kt.HyperParameters) -> tuple[str, int]:
        """Returns the name of a trial's backbone and the size of its images, the same for all trials here."""
        del hp
        return self.backbone_name or self.base.name, self.base.input_shape[1]

    def connection(self, hp: kt.HyperParameters) -> Connection:
        """Returns the connection that a trial's hyperparameters name, by layer names or as the published indices."""
        return find_connection(self.declare_cuts(hp)[0], self.base)

    def declare_cuts(self, hp: kt.HyperParameters) -> tuple[Any, Any]:
        """Declares ``translator`` and ``tail_units`` without building anything.

        Returns:
            Their values in a trial; None for one that the trial does not have.
        """
        translator = self.place.named(TRANSLATOR)
        tails = [str(connection) for connection in self.connections if connection.is_tail]
        with self.place.scope(hp):
            chosen = hp.Choice(translator, [str(connection) for connection in self.connections])
            if not tails:
                return chosen, None
            # Every trial enters this scope, so that tuners know the condition even if the first trial is not a tail.
            with hp.conditional_scope(translator, tails):
                return chosen, hp.Choice(self.place.named(TAIL_WIDTH), list(self._tail_units))

    def create_backbone(self, hp: kt.HyperParameters) -> keras.Model:
        """Returns the sub-network of a trial, including its translator, without a head."""
        connection = self.connection(hp)
        submodel = create_submodel(self.base, connection, tail_units=self._tail_width(hp, connection))
        if self.translators is not None:
            self.translators.apply(submodel, connection)
        return submodel

    def _tail_width(self, hp: kt.HyperParameters, connection: Connection) -> int:
        """Returns the width of a trial's tail; a default, which is not used, if its connection is not a tail."""
        if not connection.is_tail:
            return TAIL_UNITS
        _, most = self.declare_cuts(hp)
        return max(width for width in self._widths_within(connection) if width <= int(most))

    def _widths_within(self, connection: Connection) -> list[int]:
        """Returns the tail widths within the countable budgets, and always the narrowest."""
        if connection not in self._widths:
            narrowest = min(self._tail_units)
            self._widths[connection] = [
                width
                for width in self._tail_units
                if width == narrowest or self.budgets.within(self._with_cheapest_head(connection, width))
            ]
        return self._widths[connection]

    def build(self, hp: kt.HyperParameters) -> keras.Model:
        """Returns the compiled classifier of a trial: frozen sub-network, published head, Adam."""
        return self._classifier(hp, self.create_backbone(hp))

    def build_trial(self, hp: kt.HyperParameters) -> keras.Model:
        """Builds a trial like :meth:`build`, but in milliseconds: the frozen layers are shared by all trials.

        The model is only meant for :meth:`fit`; unfreezing its backbone would affect all trials. If a subclass
        overrides :meth:`build` or :meth:`create_backbone`, its :meth:`build` is called instead.
        """
        own = type(self)
        if own.build is not HyperCompressor.build or own.create_backbone is not HyperCompressor.create_backbone:
            return self.build(hp)
        connection = self.connection(hp)
        width = self._tail_width(hp, connection)
        if not connection.rejoins:
            backbone = extend_shared(self._frozen, connection, tail_units=width)
        elif connection not in self._shared.rejoined:
            backbone = self._shared.rejoined[connection] = self.create_backbone(hp)
        else:
            backbone = self._shared.rejoined[connection]
            if self.translators is not None:
                self.translators.apply(backbone, connection)
        return self._classifier(hp, backbone)

    @property
    def _frozen(self) -> keras.Model:
        """Returns a copy of the whole backbone, so that sharing and freezing do not affect the original."""
        shared = self._shared
        if shared.frozen is None:
            shared.frozen = create_submodel(self.base, Connection.head(LayerGraph.of(self.base).sink))
        return shared.frozen

    def _classifier(self, hp: kt.HyperParameters, backbone: keras.Model) -> keras.Model:
        # A tail has no pretrained weights, so it is trained like the head.
        is_trained = self.connection(hp).is_tail or self._train_translators
        for layer in backbone.layers:
            layer.trainable = is_trained and layer.name in TRANSLATOR_LAYERS
        if self._head_units is None:
            widths = PUBLISHED_HEAD_UNITS
            units = hp.Int(HEAD_UNITS, widths.start, widths.stop, step=widths.step, default=widths.start)
        else:
            units = hp.Choice(HEAD_UNITS, list(self._head_units))
        model = attach_head(backbone, self.num_classes, units=units, dropout=self._dropout, name="autosearch")
        low, high = self._learning_rates
        model.compile(
            optimizer=keras.optimizers.Adam(hp.Float(LEARNING_RATE, low, high, sampling="log")),
            loss=self._loss,
            metrics=["accuracy", self.objective(model)],
        )
        return model

    def objective(self, model: keras.Model) -> AccuracyCompression:
        """Returns the metric that ranks a classifier by its accuracy, compression and budgets."""
        penalty = 0.0 if self.budgets.within(self.costs(model)) else OVER_BUDGET
        return AccuracyCompression(self.compression(model), self.tau, name="acc_comp", penalty=penalty)

    def compression(self, model: keras.Model) -> float:
        """Returns the share of ``max_cost`` that a classifier saves."""
        return 1 - self.costs(model)[self.cost] / self.max_cost

    def costs(self, model: keras.Model) -> dict[str, float]:
        """Returns a classifier's parameters and all other costs in the objective or any budget, by name."""
        # Kept layers have the backbone's names, so these identify the connection and all widths.
        architecture = tuple((layer.name, tuple(weight.shape for weight in layer.weights)) for layer in model.layers)
        known = self._shared.known_costs
        if architecture not in known:
            limited = (name for space in self._shared.spaces for name in space.budgets.limits)
            names = dict.fromkeys(("parameters", self.cost, *limited))
            known[architecture] = measure_costs(
                model, names, self.yardstick, self._class_names, precision=self._precision
            )
        return known[architecture]

    def fit(self, hp: kt.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains a trial's model, on cached features if that gives the same result.

        Args:
            hp: The trial's hyperparameters.
            model: The model from :meth:`build` or :meth:`build_trial`.
            *args: Arguments of Keras' ``fit``.
            **kwargs: Arguments of Keras' ``fit``.

        Returns:
            The history. Besides the metrics, it contains the model's :meth:`costs`, the ``seconds`` of this fit and the
            number of validation ``examples`` (0 if not counted), so that every tuner records them for its trials.

        Raises:
            CompressorError: If the translators are not fitted yet and cannot be fitted on this training data.
        """
        started = time.monotonic()
        arguments = fit_arguments(args, kwargs)
        connection = self.connection(hp)
        if self.translators is None:
            self._pretrain(arguments, model, connection)
            # keras-tuner has restored a promoted trial's weights, including the translator, before this call.
            if "tuner/trial_id" not in hp.values:
                assert self.translators is not None
                with scope_of(model):
                    self.translators.apply(_subnetwork_in(model, connection), connection)
        history = self._training.fit(model, connection, arguments) if self._cache_features else None
        if history is None:
            logger.info("training on images, not on cached features")
            history = model.fit(**arguments)
        examples = self._training.held_out if self._cache_features else 0
        constants = {**self.costs(model), "seconds": time.monotonic() - started, "examples": examples}
        history.history |= {name: [value] * len(history.epoch) for name, value in constants.items()}
        return history

    def _pretrain(self, arguments: dict[str, Any], model: keras.Model, connection: Connection) -> None:
        """Fits the translators of all connections on the training data in the arguments of ``fit``."""
        dataset = self._training.dataset(arguments.get("x"), arguments.get("y"), arguments.get("batch_size"))
        if dataset is None:
            raise CompressorError(
                "the translators cannot be fitted on this kind of training data; give arrays or a finite "
                "tf.data.Dataset, or fit them first and pass them as the argument translators."
            )
        if self._cache_features and self._training.frontier(model, connection) is not None:
            self.translators = self._training.cache.translators(dataset, self._fit_options)
        else:
            images = _backbone_inputs(model, connection, dataset)
            self.translators = fit_translators(self.base, self._shared.connections, images, **asdict(self._fit_options))


class HyperCompressedMobileNet(HyperCompressor):
    """Searches MobileNet's 23 published connections; see :class:`HyperCompressor`."""

    backbone_name = "MobileNet"


class HyperCompressedMobileNetV2(HyperCompressor):
    """Searches MobileNetV2's 31 published connections; see :class:`HyperCompressor`."""

    backbone_name = "MobileNetV2"


class HyperCompressedEfficientNetB5(HyperCompressor):
    """Searches EfficientNetB5's 9 published connections; see :class:`HyperCompressor`."""

    backbone_name = "EfficientNetB5"


def _subnetwork_in(model: keras.Model, connection: Connection) -> keras.Model:
    """Returns the model that contains the sub-network's layers: the model itself or a model nested in it."""
    for candidate in (model, *(layer for layer in model.layers if isinstance(layer, keras.Model))):
        if any(layer.name == connection.a for layer in candidate.layers):
            return candidate
    raise CompressorError(
        f"the model that build() returned does not contain layer {connection.a!r} of its sub-network; "
        "build it on the result of create_backbone(hp)."
    )


def _backbone_inputs(model: keras.Model, connection: Connection, dataset: tf.data.Dataset) -> Iterable[Any]:
    """Yields batches of images as the sub-network takes them: after any layers that ``model`` puts before it."""
    subnetwork = _subnetwork_in(model, connection)
    in_front = None
    if subnetwork is not model:
        (entry,) = LayerGraph.of(model).producers[subnetwork.name]
        outer = keras.Model(model.inputs, model.outputs)  # a Sequential model hides its input layer
        in_front = keras.Model(outer.inputs, outer.get_layer(entry).output)
    for x, *_ in dataset:
        yield x if in_front is None else in_front(x, training=False)
