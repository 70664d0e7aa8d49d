"""Models built under a ``tf.distribute`` strategy, such as keras-tuner's ``distribution_strategy``."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import tensorflow as tf


def scope_of(model: keras.Model) -> AbstractContextManager[Any]:
    """Returns the scope of the strategy that a model was built under. Only there can its variables be changed."""
    strategy = model.distribute_strategy
    if strategy is tf.distribute.get_strategy():
        return nullcontext()
    return strategy.scope()
