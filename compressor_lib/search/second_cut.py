"""A second cut: the best network of a search becomes the backbone of another search.

After a first cut, a network is like any other, so the same translators, caches and tuners can cut it again.
"""

from __future__ import annotations

import keras

from compressor_lib.cuts.surgery import without_head
from compressor_lib.cuts.translators import BATCH_NORM
from compressor_lib.networks.layer_names import TRANSLATOR_PREFIX
from compressor_lib.networks.nested_models import flattened

FIRST_CUT = "first_cut"
"""Hyperparameter with the first search's connection, fixed in every trial of a second search."""

_FIRST = f"{TRANSLATOR_PREFIX}first_"


def network_to_cut_again(classifier: keras.Model) -> keras.Model:
    """Returns the network before a compressed classifier's head, as the backbone of another search.

    Args:
        classifier: A classifier on a sub-network with one cut.

    Returns:
        A new model with the same weights. The layers of its translator are renamed (``translator_conv`` becomes
        ``translator_first_conv``), so that their names are available for another translator.
    """
    network = without_head(classifier)
    names = [layer.name for layer in network.layers if layer.name.startswith(TRANSLATOR_PREFIX)]
    return flattened(network, {name: _renamed(name) for name in names})


def layers_trained_again(network: keras.Model) -> list[str]:
    """Returns the names of the first cut's layers that a second search trains with the head.

    These are the layers of a tail. They were trained on A's output for the task and must adapt to the second cut. A
    translator that rejoins is followed by frozen layers, so if it were trained, trials could not start from cached
    features.

    Args:
        network: A network from :func:`network_to_cut_again`.
    """
    first = [layer for layer in network.layers if layer.name.startswith(_FIRST)]
    is_tail = any(layer.name == _renamed(BATCH_NORM) for layer in first)
    return [layer.name for layer in first if layer.weights] if is_tail else []


def _renamed(name: str) -> str:
    return _FIRST + name.removeprefix(TRANSLATOR_PREFIX)
