"""Narrowing in closed form: hidden channels go, and the layer that reads them is solved anew.

A hidden channel is made by one convolution, changed channel by channel, and read by one convolution, ``y = W h``. With
the Gram matrix ``G`` of ``h`` over images and positions, removing channel j and solving W again adds the squared error
``|w_j|^2 / [G^-1]_jj`` (optimal brain surgeon: Hassibi and Stork, 1993; for layers: Frantar and Alistarh,
arXiv:2208.11580). The cheapest channel is removed again and again. Least squares after channel pruning: He, Zhang and
Sun, arXiv:1707.06168.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from benchmarks.quality.channels import Channels, group_by_channels, rounded, with_channels
from compressor_lib.networks.graph import LayerGraph

RIDGE = 1e-4
"""Share of the mean diagonal of a Gram matrix that is added to its diagonal."""

_POSITIONS = 25


class Narrowing:
    """The order in which hidden channels are removed from some layers of a network.

    Args:
        network: A network as :func:`benchmarks.quality.channels.with_channels` takes it.
        readers: Names of 1 x 1 convolutions without bias, each the only one that reads its channels.
        images: Batches ``(images, labels)`` from which the Gram matrices are computed.
    """

    def __init__(self, network: keras.Model, readers: Sequence[str], images: tf.data.Dataset) -> None:
        self.network = network
        producers, groups = LayerGraph.of(network).producers, group_by_channels(network)
        self._groups = {reader: groups[producers[reader][0]] for reader in readers}
        self._read = {reader: producers[reader][0] for reader in readers}
        self._images = images

    @functools.cached_property
    def _grams(self) -> dict[str, npt.NDArray[np.float64]]:
        return _gram_matrices(self.network, self._read, self._images)

    def narrowed(self, width: float) -> keras.Model:
        """Returns a copy of the network with a share of the channels that each reader reads.

        Args:
            width: Share of the channels to keep, rounded to a multiple of 8.
        """
        kept, solved = {}, {}
        for reader, group in self._groups.items():
            kernel = self._kernel(reader)
            kept[group], solved[reader] = _surgery(self._grams[reader], kernel, _count(kernel, width))
        narrow = with_channels(self.network, kept)
        for reader, weights in solved.items():
            narrow.get_layer(reader).set_weights([weights[None, None].astype(np.float32)])
        return narrow

    def shape(self, width: float) -> keras.Model:
        """Returns a network of the same shape as :meth:`narrowed`, quickly, with other weights."""
        kept = {group: np.arange(_count(self._kernel(reader), width)) for reader, group in self._groups.items()}
        return with_channels(self.network, kept)

    def _kernel(self, reader: str) -> npt.NDArray[np.float32]:
        """Returns a reader's weights ``[H, C]``."""
        return self.network.get_layer(reader).get_weights()[0][0, 0]


def _count(kernel: npt.NDArray[np.float32], width: float) -> int:
    return rounded(len(kernel) * width, len(kernel))


def _surgery(
    gram: npt.NDArray[np.float64], weights: npt.NDArray[np.float32], count: int
) -> tuple[Channels, npt.NDArray[np.float64]]:
    """Removes channels until ``count`` are left.

    Args:
        gram: ``[H, H]``.
        weights: ``[H, C]``.
        count: Number of channels that stay.

    Returns:
        The channels that stay, and their weights ``[count, C]``.
    """
    inverse, solved = np.linalg.inv(gram), weights.astype(np.float64)
    left = np.ones(len(gram), bool)
    while left.sum() > count:
        errors = np.where(left, (solved**2).sum(axis=1) / np.diag(inverse).clip(1e-300), np.inf)
        worst = int(errors.argmin())
        column = inverse[:, worst] / inverse[worst, worst]
        solved -= np.outer(column, solved[worst])
        inverse -= np.outer(column, inverse[worst])
        left[worst] = False
        # The removed row and column are zero but for rounding.
        solved[worst], inverse[worst], inverse[:, worst] = 0, 0, 0
    channels = np.flatnonzero(left)
    return channels, np.linalg.solve(gram[np.ix_(channels, channels)], gram[channels] @ weights)


def _gram_matrices(
    network: keras.Model, read: Mapping[str, str], images: tf.data.Dataset
) -> dict[str, npt.NDArray[np.float64]]:
    """Returns the Gram matrix of what each reader reads, over images and some positions, with a ridge."""
    maps = keras.Model(network.inputs, [network.get_layer(layer).output for layer in read.values()])
    rng = np.random.default_rng(0)
    chosen = []
    for tensor in maps.outputs:
        positions = tensor.shape[1] * tensor.shape[2]
        chosen.append(np.sort(rng.permutation(positions)[:_POSITIONS]))

    @tf.function
    def sums(batch: tf.Tensor) -> list[tf.Tensor]:
        found = []
        for tensor, places in zip(keras.tree.flatten(maps(batch, training=False)), chosen, strict=True):
            flat = tf.reshape(tensor, [tf.shape(tensor)[0], -1, tensor.shape[-1]])
            rows = tf.reshape(tf.gather(flat, places, axis=1), [-1, tensor.shape[-1]])
            found.append(tf.matmul(rows, rows, transpose_a=True))
        return found

    total = [np.zeros((tensor.shape[-1],) * 2) for tensor in maps.outputs]
    for batch, _ in images:
        for gram, part in zip(total, sums(tf.cast(batch, tf.float32)), strict=True):
            gram += part.numpy()
    for gram in total:
        gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram)
    return dict(zip(read, total, strict=True))
