"""The search's objective as a Keras metric."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from compressor_lib.errors import CompressorError


@keras.saving.register_keras_serializable(package="compressor_lib")
class AccuracyCompression(keras.metrics.Mean):
    """The objective ``tau * accuracy + (1 - tau) * compression_rate - penalty``, which rewards accuracy and small size.

    The compression rate of a network is a constant, as published ``1 - parameters / max_parameters``, so only the
    accuracy is computed from the batches. Source: Camacho et al., Neurocomputing 630, 129661 (2025).

    Args:
        compression_rate: Share of the cost that was removed. Negative for a network larger than the reference model.
        tau: Weight of the accuracy, 0 to 1.
        name: Name of the metric in logs. Keras prepends ``val_`` for validation data.
        penalty: Subtracted from the objective. A penalty of 1 ranks a network below all networks without a penalty.
        **kwargs: Passed on to ``keras.metrics.Mean``.

    Raises:
        CompressorError: If ``tau`` is not in 0..1.

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
            raise CompressorError(f"tau is {tau}, but it is a weight: choose a value from 0 to 1.")
        super().__init__(name=name, **kwargs)
        self.tau = float(tau)
        # A variable, so that one traced graph works for networks of any size.
        self._constant = self.add_variable((), initializer="zeros", name="constant")
        self.set_network(compression_rate, penalty)

    def set_network(self, compression_rate: float, penalty: float = 0.0) -> None:
        """Sets the compression rate and penalty of another network."""
        self.compression_rate, self.penalty = float(compression_rate), float(penalty)
        self._constant.assign((1.0 - self.tau) * self.compression_rate - self.penalty)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: Labels, either indices of shape ``[N]`` or ``[N, 1]``, or one-hot of shape ``[N, C]``.
            y_pred: Probabilities or logits of shape ``[N, C]``.
            sample_weight: Optional weights of shape ``[N]`` or ``[N, 1]``.
        """
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        one_hot = len(y_true.shape) == 2 and y_true.shape[1] == y_pred.shape[1]
        labels = ops.argmax(y_true, axis=-1) if one_hot else ops.reshape(y_true, (-1,))
        hits = ops.equal(ops.cast(labels, "int64"), ops.cast(ops.argmax(y_pred, axis=-1), "int64"))
        super().update_state(ops.cast(hits, self.dtype), sample_weight)

    def result(self) -> Any:
        """Returns the objective over the batches so far, a float scalar."""
        return self.tau * super().result() + self._constant

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that ``from_config`` needs to rebuild this metric."""
        return {
            **super().get_config(),
            "compression_rate": self.compression_rate,
            "tau": self.tau,
            "penalty": self.penalty,
        }
