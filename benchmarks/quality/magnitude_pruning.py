"""Structured pruning by magnitude: of each group of channels, the same share with the largest weights stays.

The simplest rival that shrinks every layer: filters are ranked by the L1 norm of their weights (Li et al., Pruning
filters for efficient ConvNets, arXiv:1608.08710, 2017), and channels that are added to one another go together (as in
Fang et al., DepGraph, arXiv:2301.12900, 2023).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from benchmarks.quality.channels import Channels, group_by_channels, makes_channels, rounded, with_channels


def magnitude_pruned(network: keras.Model, width: float) -> keras.Model:
    """Returns a copy of a network with a share of the channels of every convolution.

    Args:
        network: A network as :func:`benchmarks.quality.channels.with_channels` takes it.
        width: Share of the channels to keep, rounded to a multiple of 8 (and at least 8).

    Returns:
        A new model with the same layer names.
    """
    norms: dict[str, Any] = {}
    groups = group_by_channels(network)
    for layer in network.layers:
        if makes_channels(layer):
            norm = np.abs(layer.get_weights()[0]).sum(axis=(0, 1, 2))
            norms[groups[layer.name]] = norms.get(groups[layer.name], 0) + norm
    kept: dict[str, Channels] = {
        group: np.sort(np.argsort(-norm, kind="stable")[: rounded(len(norm) * width, len(norm))])
        for group, norm in norms.items()
    }
    return with_channels(network, kept)
