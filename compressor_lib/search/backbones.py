"""One search over several backbones and image sizes: which network to cut is a hyperparameter, too."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import keras
import keras_tuner as kt
import tensorflow as tf

from compressor_lib.cuts.connections import Connection
from compressor_lib.errors import CompressorError
from compressor_lib.networks.macs import multiply_adds
from compressor_lib.objective.costs import AnyYardstick, Budgets
from compressor_lib.search.hypermodels import HyperCompressor, OverBudgetError, fit_arguments
from compressor_lib.search.place import Place

logger = logging.getLogger(__name__)

BACKBONE = "backbone"
INPUT_SIZE = "input_size"

Network = tuple[str, int]
"""The name of a backbone, and the height and width of its images in pixels."""


class Member(NamedTuple):
    """One backbone at one image size, with its data.

    Attributes:
        hypermodel: Its sub-networks.
        train: Finite batches ``(images, labels)``, with the images at its size.
        validation: Finite batches of the same kind, on which its trials are ranked.
    """

    hypermodel: HyperCompressor
    train: tf.data.Dataset
    validation: tf.data.Dataset


class HyperBackbones(kt.HyperModel):
    """Searches the sub-networks of several backbones, each at one or more image sizes.

    Hyperparameters: ``backbone`` and ``input_size``, each only where there is a choice, and those of
    :class:`compressor_lib.search.hypermodels.HyperCompressor`. Each backbone has an ``input_size`` of its own, and each
    network a ``translator`` and ``tail_units``, under the condition that it is chosen. Those of the first have these
    names; those of the others end with the network, as in ``translator (MobileNet, 96 px)``.

    Compression is relative to the same uncompressed classifier for all networks, so their trials are ranked together. A
    network is left out of the search, before it costs anything, if none of its connections meets the budgets that can
    be counted.

    Example:
        >>> at_224 = HyperCompressedMobileNetV2(2.3e6, 5, input_shape=224)
        >>> at_128 = HyperCompressedMobileNetV2(2.3e6, 5, input_shape=128)
        >>> hypermodel = HyperBackbones(
        ...     {
        ...         ("MobileNetV2", 224): (at_224, train_224, validation_224),
        ...         ("MobileNetV2", 128): (at_128, train_128, validation_128),
        ...     }
        ... )  # doctest: +SKIP
        >>> tuner = kt.Hyperband(hypermodel, objective=kt.Objective("val_acc_comp", direction="max"), max_epochs=50)
        ... # doctest: +SKIP
        >>> tuner.search(train_224, validation_data=validation_224)  # doctest: +SKIP
    """

    def __init__(
        self,
        members: Mapping[Network, tuple[HyperCompressor, tf.data.Dataset, tf.data.Dataset]],
        name: str | None = None,
        tunable: bool = True,
    ) -> None:
        """Defines the search space without building anything.

        Args:
            members: By the name of a backbone and the size of its images: its hypermodel, and finite batches ``(images,
                labels)`` at that size to train on and to rank trials on. The first one is the default. All hypermodels
                have the same number of classes and the same objective: ``tau``, cost, ``max_cost`` and budgets.
            name: Name of the hypermodel.
            tunable: As in keras-tuner.

        Raises:
            CompressorError: If there are no networks, or their objectives or numbers of classes differ.
        """
        super().__init__(name, tunable)
        if not members:
            raise CompressorError("there is no backbone to search: give one.")
        self.place = Place()
        self._given = {network: Member(*member) for network, member in members.items()}
        first, *others = (member.hypermodel for member in self._given.values())
        for other in others:
            if _objective(other) != _objective(first):
                raise CompressorError(
                    "the hypermodels differ in num_classes, tau, cost, max_cost or budgets, so their trials cannot be "
                    "ranked together: give them the same ones."
                )
        self._first = first

    @property
    def tau(self) -> float:
        """Weight of accuracy in the objective."""
        return self._first.tau

    @property
    def cost(self) -> str:
        """Name of the cost in the objective."""
        return self._first.cost

    @property
    def max_cost(self) -> float:
        """Cost of the uncompressed classifier."""
        return self._first.max_cost

    @property
    def budgets(self) -> Budgets:
        """Limits that a network must not exceed."""
        return self._first.budgets

    def budgets_of(self, hp: kt.HyperParameters) -> Budgets:
        """Returns the limits that a trial's score was reduced by: the same for all trials here."""
        del hp
        return self.budgets

    @property
    def yardstick(self) -> AnyYardstick | None:
        """What latencies are measured with."""
        return self._first.yardstick

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self._first.num_classes

    @functools.cached_property
    def members(self) -> dict[Network, Member]:
        """The networks that have connections within the countable budgets.

        Raises:
            CompressorError: If there are none.
        """
        within, left_out = {}, []
        for network, member in self._given.items():
            try:
                _ = member.hypermodel.connections
            except OverBudgetError as error:
                left_out.append(error)
                logger.info("%s is left out of the search: %s", in_words(network), error)
            else:
                within[network] = member
        if not within:
            raise min(left_out, key=lambda error: error.excess)
        sizes, default = _sizes(within), next(iter(within))
        for network, member in within.items():
            backbone, size = network
            place = self._place_of(backbone, sizes)
            conditions = dict(place.conditions)
            if len(sizes[backbone]) > 1:
                conditions[place.named(INPUT_SIZE)] = size
            member.hypermodel.place = self.place.inner(conditions, "" if network == default else in_words(network))
        return within

    def network(self, hp: kt.HyperParameters) -> Network:
        """Returns the name of a trial's backbone and the height and width of its images, in pixels."""
        sizes = _sizes(self.members)
        backbone, *others = sizes
        if others:
            with self.place.scope(hp):
                backbone = hp.Choice(self.place.named(BACKBONE), list(sizes))
        return backbone, self._size(hp, backbone)

    def _size(self, hp: kt.HyperParameters, backbone: str) -> int:
        """Declares the choice between the sizes of a backbone, and returns a trial's; None if it has another one."""
        sizes = _sizes(self.members)
        if len(sizes[backbone]) == 1:
            return sizes[backbone][0]
        place = self._place_of(backbone, sizes)
        with place.scope(hp):
            return hp.Choice(place.named(INPUT_SIZE), sizes[backbone])

    def _place_of(self, backbone: str, sizes: Mapping[str, list[int]]) -> Place:
        """Returns the place of the choice between the sizes of a backbone."""
        if len(sizes) == 1:
            return self.place
        is_default = backbone == next(iter(sizes))
        return self.place.inner({self.place.named(BACKBONE): backbone}, "" if is_default else backbone)

    def declare_hyperparameters(self, hp: kt.HyperParameters) -> None:
        """Declares the choices of every network. Called by keras-tuner.

        Otherwise keras-tuner would build networks until it has met every condition.
        """
        self.network(hp)
        for backbone in _sizes(self.members):
            self._size(hp, backbone)
        for member in self.members.values():
            member.hypermodel.declare_cuts(hp)

    def member(self, hp: kt.HyperParameters) -> Member:
        """Returns the network of a trial."""
        return self.members[self.network(hp)]

    def connection(self, hp: kt.HyperParameters) -> Connection:
        """Returns the connection of a trial, by layer names."""
        return self.member(hp).hypermodel.connection(hp)

    def build(self, hp: kt.HyperParameters) -> keras.Model:
        """Returns the compiled classifier of a trial."""
        return self.member(hp).hypermodel.build(hp)

    def build_trial(self, hp: kt.HyperParameters) -> keras.Model:
        """Builds a trial whose frozen layers are shared; see :meth:`HyperCompressor.build_trial`."""
        return self.member(hp).hypermodel.build_trial(hp)

    def fit(self, hp: kt.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains a trial's model on the data of its network; see :meth:`HyperCompressor.fit`.

        Args:
            hp: The trial's hyperparameters.
            model: The model from :meth:`build` or :meth:`build_trial`.
            *args: Arguments of Keras' ``fit``. The network's own data replaces the data in them.
            **kwargs: Arguments of Keras' ``fit``.
        """
        member = self.member(hp)
        arguments = fit_arguments(args, kwargs)
        for replaced in ("y", "batch_size"):
            arguments.pop(replaced, None)
        arguments |= {"x": member.train, "validation_data": member.validation}
        return member.hypermodel.fit(hp, model, **arguments)

    def narrow_to(self, count: int) -> None:
        """Restricts the search to the most promising connections; see :meth:`HyperCompressor.narrow_to`.

        Every network keeps its share of the connections. Each runs over its data once; trials reuse the outputs.

        Args:
            count: Number of connections to keep in all networks, at least one of each family in each.

        Raises:
            CompressorError: If ``count`` is below 1.
        """
        total = sum(len(member.hypermodel.connections) for member in self.members.values())
        for member in self.members.values():
            share = math.ceil(count * len(member.hypermodel.connections) / total)
            member.hypermodel.narrow_to(share, member.train, member.validation)

    def release_features(self) -> None:
        """Deletes the cached outputs of all networks; see :meth:`HyperCompressor.release_features`."""
        for member in self.members.values():
            member.hypermodel.release_features()


def passes(members: Iterable[Member], base: keras.Model) -> float:
    """Returns the cost of running every network on every image once, in passes of another network, by their MACs.

    Args:
        members: The networks.
        base: The other network, such as the backbone of the reference model.
    """
    return sum(multiply_adds(member.hypermodel.base) for member in members) / multiply_adds(base)


def in_words(network: Network) -> str:
    """Returns a network in words, such as ``"MobileNetV2 0.35, 96 px"``."""
    backbone, size = network
    return f"{backbone}, {size} px"


def _sizes(networks: Mapping[Network, Any]) -> dict[str, list[int]]:
    """Returns the sizes of each backbone."""
    sizes: dict[str, list[int]] = {}
    for backbone, size in networks:
        sizes.setdefault(backbone, []).append(size)
    return sizes


def _objective(hypermodel: HyperCompressor) -> tuple[Any, ...]:
    """Returns what trials must have in common to be ranked together."""
    budgets = dict(hypermodel.budgets.limits)
    return hypermodel.num_classes, hypermodel.tau, hypermodel.cost, hypermodel.max_cost, budgets
