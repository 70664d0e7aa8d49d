"""How large a model is; :mod:`compressor_lib.deployment.latency` says how fast."""

from __future__ import annotations

import keras


def count_parameters(model: keras.Model) -> int:
    """Counts all numbers of a model: trainable ones and the rest, such as moving averages."""
    return int(model.count_params())
