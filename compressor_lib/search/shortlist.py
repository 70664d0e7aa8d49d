"""A prior over connections: what to expect of each before any trial, in closed form.

A linear classifier on what a connection's A computes tells how much of the task is solved there (linear probes: Alain
and Bengio, arXiv:1610.01644, 2016). Where the network rejoins, its translator's R2 tells how far what lies behind B can
add to that. Neither trains anything, so hundreds of connections are looked at in seconds, and a search need not spend
trials on those that cannot win.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor_lib.cuts.connections import Connection, Kind

Array = npt.NDArray[Any]

MOST_EXAMPLES = 4096
"""Examples that a probe is fitted on: enough for some hundred channels, and a bound on its time."""


def linear_probe(
    train: tuple[Array, Array], validation: tuple[Array, Array], num_classes: int, *, ridge: float = 1e-2
) -> float:
    """Accuracy of a linear classifier fitted by least squares to one-hot labels.

    Args:
        train: Features ``[examples, channels]`` and classes ``[examples]`` to fit it on.
        validation: Likewise, to score it on.
        num_classes: How many classes there are.
        ridge: Penalty on the weights, as a share of the channels' variance.

    Returns:
        Share of the validation examples that it gets right, 0..1.
    """
    (x, classes), (held, held_classes) = train, validation
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation[deviation == 0] = 1
    x, held = (x - mean) / deviation, (held - mean) / deviation
    targets = np.eye(num_classes)[classes]
    gram = x.T @ x + ridge * len(x) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ (targets - targets.mean(axis=0)))
    answers = (held @ weights + targets.mean(axis=0)).argmax(axis=1)
    return float((answers == held_classes).mean())


def expected_accuracies(probes: Mapping[Connection, float], r2: Mapping[Connection, float]) -> dict[Connection, float]:
    """What accuracy to expect of each connection.

    Args:
        probes: Accuracy of a linear classifier on each connection's A.
        r2: Of the translators, for connections that rejoin; those that are not told count as 0.

    Returns:
        The probe where nothing pretrained follows A. Where B does, as much more as the translator explains, of what
        the best probe is ahead.
    """
    best = max(probes.values())
    return {
        connection: probe + (best - probe) * min(1.0, max(0.0, r2.get(connection, 0.0)))
        for connection, probe in probes.items()
    }


def most_promising(scores: Mapping[Connection, float], count: int) -> list[Connection]:
    """The best of each family: rejoining, truncations and tails keep their shares, as they are expected to score alike.

    Args:
        scores: What to expect of each connection, higher is better; compared within families only.
        count: How many to keep; at least one of each family is.

    Returns:
        The connections, in the order of ``scores``.
    """
    families: dict[Kind, list[Connection]] = {}
    for connection in scores:
        families.setdefault(connection.kind, []).append(connection)
    kept: set[Connection] = set()
    for members in families.values():
        share = math.floor(count * len(members) / len(scores))
        kept.update(sorted(members, key=scores.__getitem__, reverse=True)[: max(1, share)])
    return [connection for connection in scores if connection in kept]


def pooled(values: Array, examples: Array) -> Array:
    """Some examples' activations as a head takes them, averaged over positions: float64 ``[examples, channels]``."""
    chosen = values[examples]
    return chosen.mean(axis=tuple(range(1, chosen.ndim - 1)), dtype=np.float64)


def some_examples(count: int, seed: int = 0) -> Array:
    """Indices of at most ``MOST_EXAMPLES`` of ``count`` examples, drawn at random, in ascending order."""
    if count <= MOST_EXAMPLES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST_EXAMPLES, replace=False))
