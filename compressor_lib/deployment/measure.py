"""Measures the size of a model; :mod:`compressor_lib.deployment.latency` measures its speed."""

from __future__ import annotations

import keras


def count_parameters(model: keras.Model) -> int:
    """Returns the number of parameters, including those that are not trainable, such as moving averages."""
    return int(model.count_params())
