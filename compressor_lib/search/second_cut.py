"""A second cut: the network that a search found becomes the backbone of another search.

What a first cut leaves is a network like any other, so the same translators, caches and tuners cut it once more.
"""

from __future__ import annotations

import keras

from compressor_lib.cuts.surgery import without_head
from compressor_lib.cuts.translators import BATCH_NORM
from compressor_lib.networks.layer_names import TRANSLATOR_PREFIX
from compressor_lib.networks.nested_models import flattened

FIRST_CUT = "first_cut"
"""The hyperparameter, the same in every trial of a second search, that names the first one's connection."""

_FIRST = f"{TRANSLATOR_PREFIX}first_"


def network_to_cut_again(classifier: keras.Model) -> keras.Model:
    """The network in front of a compressed classifier's head, as the backbone of another search.

    Args:
        classifier: On a sub-network with one cut.

    Returns:
        A new model with the same weights. The layers of its translator are renamed (``translator_conv`` is
        ``translator_first_conv``), so that another translator finds its names free.
    """
    network = without_head(classifier)
    names = [layer.name for layer in network.layers if layer.name.startswith(TRANSLATOR_PREFIX)]
    return flattened(network, {name: _renamed(name) for name in names})


def layers_trained_again(network: keras.Model) -> list[str]:
    """Names of the layers of the first cut that a second search trains with the head.

    They are those of a tail: trained for the task on what A gave, they must get used to what the second cut leaves
    of it. A translator that rejoins has frozen layers behind it, so its trials could not start from what is cached.

    Args:
        network: From :func:`network_to_cut_again`.
    """
    first = [layer for layer in network.layers if layer.name.startswith(_FIRST)]
    is_tail = any(layer.name == _renamed(BATCH_NORM) for layer in first)
    return [layer.name for layer in first if layer.weights] if is_tail else []


def _renamed(name: str) -> str:
    return _FIRST + name.removeprefix(TRANSLATOR_PREFIX)
