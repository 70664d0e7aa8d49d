"""The losses of each image: its distance to the label, and to the teacher's prediction."""

from __future__ import annotations

import keras
import tensorflow as tf


def label_loss(labels: tf.Tensor, predictions: tf.Tensor, smoothing: float) -> tf.Tensor:
    """Returns the cross-entropy ``[N]`` with the labels, smoothed (Szegedy et al., arXiv:1512.00567)."""
    losses = keras.losses.sparse_categorical_crossentropy(labels, predictions)
    if smoothing:
        losses = (1.0 - smoothing) * losses - smoothing * tf.reduce_mean(_log(predictions), axis=-1)
    return losses


def distance(teacher: tf.Tensor, student: tf.Tensor, temperature: float) -> tf.Tensor:
    """Returns the Kullback-Leibler divergence ``[N]`` KL(teacher || student), both softened by the temperature."""
    # The logarithm of a softmax is its logits up to a constant, which cancels out.
    target = tf.nn.log_softmax(_log(teacher) / temperature)
    prediction = tf.nn.log_softmax(_log(student) / temperature)
    return tf.reduce_sum(tf.exp(target) * (target - prediction), axis=-1)


def _log(probabilities: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.clip_by_value(probabilities, keras.config.epsilon(), 1.0))
