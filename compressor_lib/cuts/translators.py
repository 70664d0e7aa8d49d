"""Translators: the few layers that rejoin a cut network.

A translator makes out of A's output what B used to receive: an optional max-pool that matches the spatial
size, a 1x1 convolution that matches the depth, and the activation whose output B is used to, if there is
one (Camacho et al., Appl. Sci. 12(10) 4945, 2022).
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
"""Channels of a tail where nothing else is said."""


@dataclass(frozen=True)
class TranslatorSpec:
    """What a translator of one connection is made of.

    Attributes:
        source: Height, width and channels of A's output.
        target: Height, width and channels of what B used to receive.
        relu_ceiling: None where B receives values of both signs; otherwise the upper limit of the ReLU in
            front of B (infinity for a plain one).
        batch_norm: Whether the convolution is followed by batch normalisation, as in a tail, whose weights
            nothing is known of in advance.
    """

    source: tuple[int, int, int]
    target: tuple[int, int, int]
    relu_ceiling: float | None = None
    batch_norm: bool = False

    @classmethod
    def of(cls, base: keras.Model, connection: Connection, tail_units: int = TAIL_UNITS) -> TranslatorSpec:
        """Reads the shapes around a cut of ``base``.

        Args:
            base: The backbone, without its head.
            connection: Not a truncation, which has no translator.
            tail_units: Channels that a tail gives; not used where the connection has a B. A tail pools to
                the backbone's last height and width.

        Raises:
            CompressorError: If a shape is not a fixed ``[N, height, width, channels]``, or A is spatially
                smaller than what B receives.
        """
        assert not connection.is_truncation, "a truncation has no translator"
        source = _feature_map(connection.a, base.get_layer(connection.a).output)
        if connection.is_tail:
            height, width, _ = _feature_map("output", base.output)
            return cls(source, (height, width, tail_units), relu_ceiling=6.0, batch_norm=True)
        target = _feature_map(connection.b, base.get_layer(connection.b).input)
        if source[0] < target[0] or source[1] < target[1]:
            raise CompressorError(
                f"connection {connection} cannot be made: {connection.a!r} gives {source[0]} x {source[1]} "
                f"positions, fewer than the {target[0]} x {target[1]} that {connection.b!r} receives"
            )
        (producer,) = LayerGraph.of(base).producers[connection.b]
        return cls(source, target, _relu_ceiling(base, producer))

    @property
    def pools(self) -> bool:
        """Whether the spatial sizes differ, so that a max-pool is needed."""
        return self.source[:2] != self.target[:2]

    @property
    def parameters(self) -> int:
        """Number of the translator's weights: a 1x1 convolution with bias, or with batch normalisation."""
        return (self.source[2] + (4 if self.batch_norm else 1)) * self.target[2]

    @property
    def multiply_adds(self) -> int:
        """Those of the 1x1 convolution, for one image."""
        return math.prod(self.target) * self.source[2]

    def pool(self, name: str | None = POOL) -> keras.layers.MaxPooling2D:
        """The max-pool that brings the source's height and width to the target's, whatever their ratio."""
        (window_h, stride_h), (window_w, stride_w) = (
            pool_window(self.source[axis], self.target[axis]) for axis in (0, 1)
        )
        return keras.layers.MaxPooling2D(
            pool_size=(window_h, window_w), strides=(stride_h, stride_w), padding="valid", name=name
        )

    def conv(self) -> keras.layers.Conv2D:
        """The 1x1 convolution that brings the source's depth to the target's."""
        return keras.layers.Conv2D(self.target[2], 1, use_bias=not self.batch_norm, name=CONV)

    def activation(self) -> keras.layers.ReLU | None:
        """The activation in front of B, None where B receives values of both signs."""
        if self.relu_ceiling is None:
            return None
        ceiling = None if self.relu_ceiling == float("inf") else self.relu_ceiling
        return keras.layers.ReLU(max_value=ceiling, name=ACTIVATION)

    def layers(self) -> list[keras.layers.Layer]:
        """The translator's layers, in the order in which they are applied."""
        activation = self.activation()
        return [
            *([self.pool()] if self.pools else []),
            self.conv(),
            # A tail is trained in hundreds of steps, not in the hundred thousands that 0.99 is made for.
            *([keras.layers.BatchNormalization(momentum=0.9, name=BATCH_NORM)] if self.batch_norm else []),
            *([activation] if activation is not None else []),
        ]


def pool_window(source: int, target: int) -> tuple[int, int]:
    """Window and stride of an unpadded pool that brings ``source`` positions to exactly ``target``.

    The published stride is ceil(source / target). Where the positions do not suffice for it (5 to 4, say)
    it is floor(source / target), which always leaves a window of at least one.

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
            "build the backbone with a fixed input size and cut where the tensor is an image"
        )
    return shape[1:]


def _relu_ceiling(base: keras.Model, producer: str) -> float | None:
    # An operation such as a + b is part of the graph, but no layer.
    layer = next((layer for layer in base.layers if layer.name == producer), None)
    if isinstance(layer, keras.layers.ReLU):
        config = layer.get_config()
        if config["negative_slope"] or config["threshold"]:
            return None
        return float("inf") if config["max_value"] is None else float(config["max_value"])
    if isinstance(layer, keras.layers.Activation):
        return {"relu": float("inf"), "relu6": 6.0}.get(layer.get_config()["activation"])
    return None
