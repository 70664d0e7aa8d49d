"""Expected accuracies of connections, computed in closed form before any trial.

A linear classifier on the output of a connection's A shows how much of the task is solved there (linear probes: Alain
and Bengio, arXiv:1610.01644, 2016). If the network rejoins, the translator's R2 shows how much the layers from B on can
add. Neither requires training, so hundreds of connections are evaluated in seconds, and a search need not run trials on
connections that cannot win.
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
"""Maximum number of examples for fitting a probe: enough for a few hundred channels, and fast."""


def linear_probe(
    train: tuple[Array, Array], validation: tuple[Array, Array], num_classes: int, *, ridge: float = 1e-2
) -> float:
    """Returns the accuracy of a linear classifier fitted to one-hot labels by least squares.

    Args:
        train: Features ``[examples, channels]`` and classes ``[examples]`` to fit the classifier on.
        validation: Features and classes to score it on.
        num_classes: Number of classes.
        ridge: Penalty on the weights, as a share of the channels' variance.

    Returns:
        Share of the validation examples that are classified correctly, 0..1.
    """
    (x, classes), (held, held_classes) = train, validation
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation[deviation == 0] = 1
    x, held = (x - mean) / deviation, (held - mean) / deviation
    targets = np.eye(num_classes)[classes]
    gram = x.T @ x + ridge * len(x) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ (targets - targets.mean(axis=0)))
    predictions = (held @ weights + targets.mean(axis=0)).argmax(axis=1)
    return float((predictions == held_classes).mean())


def expected_accuracies(probes: Mapping[Connection, float], r2: Mapping[Connection, float]) -> dict[Connection, float]:
    """Returns the expected accuracy of each connection.

    Args:
        probes: Accuracy of a linear classifier on each connection's A.
        r2: R2 of the translators of connections that rejoin; missing values count as 0.

    Returns:
        The probe's accuracy, if no pretrained layers follow A. If B follows, the expected gain over the probe is the
        translator's R2 times the probe's distance to the best probe.
    """
    best = max(probes.values())
    return {
        connection: probe + (best - probe) * min(1.0, max(0.0, r2.get(connection, 0.0)))
        for connection, probe in probes.items()
    }


def most_promising(scores: Mapping[Connection, float], count: int) -> list[Connection]:
    """Returns the best connections of each family, whose shares are kept, as families are expected to score alike.

    Args:
        scores: Expected score of each connection, higher is better; only compared within families.
        count: Number of connections to keep, at least one of each family.

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
    """Returns some examples' activations averaged over positions, as for a head: float64 ``[examples, channels]``."""
    chosen = values[examples]
    return chosen.mean(axis=tuple(range(1, chosen.ndim - 1)), dtype=np.float64)


def some_examples(count: int, seed: int = 0) -> Array:
    """Returns the sorted indices of at most ``MOST_EXAMPLES`` of ``count`` examples, drawn at random."""
    if count <= MOST_EXAMPLES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST_EXAMPLES, replace=False))
