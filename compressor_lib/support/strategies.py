"""Models built under a ``tf.distribute`` strategy, as keras-tuner does for its argument ``distribution_strategy``."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import tensorflow as tf


def scope_of(model: keras.Model) -> AbstractContextManager[Any]:
    """The scope of the strategy that a model was built under, in which alone its variables may be changed."""
    strategy = model.distribute_strategy
    if strategy is tf.distribute.get_strategy():
        return nullcontext()
    return strategy.scope()
