"""Translators: the layers that rejoin a cut network.

A translator maps A's output to B's original input. It consists of an optional max-pool that matches the spatial size, a
1x1 convolution that matches the depth, and the activation that preceded B, if there was one (Camacho et al., Appl. Sci.
12(10) 4945, 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras

from compressor_lib.cuts.connections import Connection
from compressor_lib.errors import CompressorError
from compressor_lib.networks.graph import LayerGraph
from compressor_lib.networks.layer_names import TRANSLATOR_PREFIX

POOL = f"{TRANSLATOR_PREFIX}pool"
CONV = f"{TRANSLATOR_PREFIX}conv"
BATCH_NORM = f"{TRANSLATOR_PREFIX}bn"
ACTIVATION = f"{TRANSLATOR_PREFIX}activation"
TRANSLATOR_LAYERS = (POOL, CONV, BATCH_NORM, ACTIVATION)

TAIL_UNITS = 256
"""Default number of channels of a tail."""


@dataclass(frozen=True)
class TranslatorSpec:
    """The specification of a connection's translator.

    Attributes:
        source: Height, width and channels of A's output.
        target: Height, width and channels of B's original input.
        relu_ceiling: Upper limit of the ReLU before B (infinity for a plain ReLU); None if B's input can be negative.
        batch_norm: Whether batch normalisation follows the convolution, as in a tail, whose weights cannot be fitted in
            advance.
    """

    source: tuple[int, int, int]
    target: tuple[int, int, int]
    relu_ceiling: float | None = None
    batch_norm: bool = False

    @classmethod
    def of(cls, base: keras.Model, connection: Connection, tail_units: int = TAIL_UNITS) -> TranslatorSpec:
        """Reads the shapes around a cut of ``base``.

        Args:
            base: The backbone, without a head.
            connection: A connection other than a truncation, which has no translator.
            tail_units: Output channels of a tail; ignored if the connection has a B. A tail pools to the height and
                width of the backbone's output.

        Raises:
            CompressorError: If a shape is not a fixed ``[N, height, width, channels]``, or A's output is spatially
                smaller than B's input.
        """
        assert not connection.is_truncation, "a truncation has no translator"
        source = _feature_map(connection.a, base.get_layer(connection.a).output)
        if connection.is_tail:
            height, width, _ = _feature_map("output", base.output)
            return cls(source, (height, width, tail_units), relu_ceiling=6.0, batch_norm=True)
        target = _feature_map(connection.b, base.get_layer(connection.b).input)
        if source[0] < target[0] or source[1] < target[1]:
            raise CompressorError(
                f"connection {connection} is not possible: the output of {connection.a!r} has {source[0]} x "
                f"{source[1]} positions, fewer than the {target[0]} x {target[1]} that {connection.b!r} takes."
            )
        (producer,) = LayerGraph.of(base).producers[connection.b]
        return cls(source, target, _relu_ceiling(base, producer))

    @property
    def pools(self) -> bool:
        """Whether a max-pool is needed because the spatial sizes differ."""
        return self.source[:2] != self.target[:2]

    @property
    def parameters(self) -> int:
        """Number of the translator's weights: a 1x1 convolution with bias or batch normalisation."""
        return (self.source[2] + (4 if self.batch_norm else 1)) * self.target[2]

    @property
    def multiply_adds(self) -> int:
        """MACs of the 1x1 convolution for one image."""
        return math.prod(self.target) * self.source[2]

    def pool(self, name: str | None = POOL) -> keras.layers.MaxPooling2D:
        """Returns the max-pool from the source's height and width to the target's, for any ratio."""
        (window_h, stride_h), (window_w, stride_w) = (
            pool_window(self.source[axis], self.target[axis]) for axis in (0, 1)
        )
        return keras.layers.MaxPooling2D(
            pool_size=(window_h, window_w), strides=(stride_h, stride_w), padding="valid", name=name
        )

    def conv(self) -> keras.layers.Conv2D:
        """Returns the 1x1 convolution from the source's depth to the target's."""
        return keras.layers.Conv2D(self.target[2], 1, use_bias=not self.batch_norm, name=CONV)

    def activation(self) -> keras.layers.ReLU | None:
        """Returns the activation before B; None if B's input can be negative."""
        if self.relu_ceiling is None:
            return None
        ceiling = None if self.relu_ceiling == float("inf") else self.relu_ceiling
        return keras.layers.ReLU(max_value=ceiling, name=ACTIVATION)

    def layers(self) -> list[keras.layers.Layer]:
        """Returns the translator's layers, in the order of application."""
        activation = self.activation()
        return [
            *([self.pool()] if self.pools else []),
            self.conv(),
            # A tail is trained for hundreds of steps, while 0.99 is meant for a hundred thousand.
            *([keras.layers.BatchNormalization(momentum=0.9, name=BATCH_NORM)] if self.batch_norm else []),
            *([activation] if activation is not None else []),
        ]


def pool_window(source: int, target: int) -> tuple[int, int]:
    """Returns window and stride of an unpadded pool from ``source`` positions to exactly ``target``.

    The published stride is ceil(source / target). If there are too few positions for it (for example, 5 to 4), it is
    floor(source / target), which always leaves a window of at least one.

    Example:
        >>> pool_window(228, 29)
        (4, 8)
    """
    stride = -(-source // target)
    if source - stride * (target - 1) < 1:
        stride = source // target
    return source - stride * (target - 1), stride


def _feature_map(layer: str, tensor: keras.KerasTensor) -> tuple[int, int, int]:
    shape = tuple(tensor.shape)
    if len(shape) != 4 or None in shape[1:]:
        raise CompressorError(
            f"at layer {layer!r} the tensor is {shape}, not a feature map [N, height, width, channels] of fixed size; "
            "build the backbone with a fixed input size, and cut at a feature map."
        )
    return shape[1:]


def _relu_ceiling(base: keras.Model, producer: str) -> float | None:
    # Operations such as a + b are in the graph but are not layers.
    layer = next((layer for layer in base.layers if layer.name == producer), None)
    if isinstance(layer, keras.layers.ReLU):
        config = layer.get_config()
        if config["negative_slope"] or config["threshold"]:
            return None
        return float("inf") if config["max_value"] is None else float(config["max_value"])
    if isinstance(layer, keras.layers.Activation):
        return {"relu": float("inf"), "relu6": 6.0}.get(layer.get_config()["activation"])
    return None
