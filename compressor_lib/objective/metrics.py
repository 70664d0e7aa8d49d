"""The search's objective as a Keras metric."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from compressor_lib.errors import CompressorError


@keras.saving.register_keras_serializable(package="compressor_lib")
class AccuracyCompression(keras.metrics.Mean):
    """`tau * accuracy + (1 - tau) * compression_rate - penalty`: how right and how small a network is.

    The compression rate of a network is a constant, as published `1 - parameters / max_parameters`, so
    only the accuracy is gathered from the batches. Source: Camacho et al., Neurocomputing 630, 129661
    (2025).

    Args:
        compression_rate: share of the cost that is gone; negative for a network that is
            larger than the reference.
        tau: weight of the accuracy, 0 to 1.
        name: the metric's name in logs; `val_` is put before it for validation data.
        penalty: taken off; 1 ranks a network behind all those within 0..1.
        **kwargs: passed on to `keras.metrics.Mean`.

    Raises:
        CompressorError: if `tau` is not within 0..1.

    Example:
        >>> metric = AccuracyCompression(compression_rate=0.5, tau=0.8)
        >>> metric.update_state([0, 1], [[0.9, 0.1], [0.7, 0.3]])
        >>> float(metric.result())  # 0.8 * 0.5 + 0.2 * 0.5
        0.5
    """

    def __init__(
        self,
        compression_rate: float,
        tau: float = 0.8,
        name: str = "acc_comp",
        *,
        penalty: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if not 0.0 <= tau <= 1.0:
            raise CompressorError(f"tau is {tau}, but it weighs the accuracy: choose 0 to 1.")
        super().__init__(name=name, **kwargs)
        self.tau = float(tau)
        # In a variable, so that one traced graph serves networks of any size.
        self._constant = self.add_variable((), initializer="zeros", name="constant")
        self.set_network(compression_rate, penalty)

    def set_network(self, compression_rate: float, penalty: float = 0.0) -> None:
        """Makes this the metric of a network with another compression rate and penalty."""
        self.compression_rate, self.penalty = float(compression_rate), float(penalty)
        self._constant.assign((1.0 - self.tau) * self.compression_rate - self.penalty)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: labels, either indices of shape `[N]` or `[N, 1]`, or one-hot `[N, C]`.
            y_pred: probabilities or logits of shape `[N, C]`.
            sample_weight: optional weights of shape `[N]` or `[N, 1]`.
        """
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        one_hot = len(y_true.shape) == 2 and y_true.shape[1] == y_pred.shape[1]
        labels = ops.argmax(y_true, axis=-1) if one_hot else ops.reshape(y_true, (-1,))
        hits = ops.equal(ops.cast(labels, "int64"), ops.cast(ops.argmax(y_pred, axis=-1), "int64"))
        super().update_state(ops.cast(hits, self.dtype), sample_weight)

    def result(self) -> Any:
        """Returns the value over the batches so far, a float scalar."""
        return self.tau * super().result() + self._constant

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs to build this metric again."""
        return {
            **super().get_config(),
            "compression_rate": self.compression_rate,
            "tau": self.tau,
            "penalty": self.penalty,
        }
