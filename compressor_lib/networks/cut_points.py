"""Cut points: where a network can be cut and where it can be rejoined, based on its graph alone.

Both ends of a cut are tensors on every path through the network. Of these, only the ends of *units* are useful: a unit
is a convolution with its normalisation and activation, a join, or a pooling layer. In a pre-activation network, the
normalisation after a join belongs to the next unit.
"""

from __future__ import annotations

import keras

from compressor_lib.networks.graph import LayerGraph

_layers = keras.layers
_CONVOLUTIONS = (_layers.Conv2D, _layers.SeparableConv2D)
_WEIGHTED = (*_CONVOLUTIONS, _layers.DepthwiseConv2D, _layers.Conv2DTranspose, _layers.Dense)
_NORMALISATIONS = (_layers.BatchNormalization, _layers.LayerNormalization, _layers.GroupNormalization)
_ACTIVATIONS = (_layers.Activation, _layers.ReLU, _layers.LeakyReLU, _layers.PReLU, _layers.ELU)
_DROPOUTS = (_layers.Dropout, _layers.SpatialDropout2D)
_PADDINGS = (_layers.ZeroPadding2D,)


class CutPoints:
    """The layers A after which a network can be cut and the layers B at which it can be rejoined.

    Attributes:
        cuts: Every A, in network order. Its output is a feature map that ends a unit after the first convolution.
        rejoins: Every B, in network order. Its only input is a tensor that ends a unit. B is a convolution over all
            channels, or leads into one (padding, or the normalisation of a pre-activation network). If several layers
            take the same tensor, only one is listed.
    """

    def __init__(self, base: keras.Model) -> None:
        """Reads the graph of ``base``, a functional model without a head."""
        self._graph = LayerGraph.of(base)
        self._layers = {layer.name: layer for layer in base.layers}
        self._parameters = [0]
        for name in self._graph.order:
            own = self._layers[name].count_params() if name in self._layers else 0
            self._parameters.append(self._parameters[-1] + own)
        ends = [name for name in self._graph.cut_points() if self._ends_unit(name)]
        first = next((place for name, place in self._graph.order.items() if self._is(name, _WEIGHTED)), 0)
        self.cuts = [name for name in ends if self._graph.order[name] >= first and self._is_feature_map(name)]
        self.rejoins = [b for b in map(self._first_convolution_after, ends) if b is not None]

    def parameters_between(self, a: str, b: str | None) -> int:
        """Returns the number of parameters that a cut removes: between A and B, or everything after A if B is None."""
        last = self._graph.sink if b is None else self._graph.producers[b][0]
        return self._parameters[self._graph.order[last] + 1] - self._parameters[self._graph.order[a] + 1]

    def _ends_unit(self, name: str) -> bool:
        """Returns whether a layer ends a unit: no normalisation, activation or dropout of its own follows."""
        if self._is(name, _PADDINGS):
            return False  # it belongs to the next unit
        if len(self._graph.consumers[name]) != 1:
            return True
        (consumer,) = self._graph.consumers[name]
        if self._is(consumer, _NORMALISATIONS):
            return not self._is(name, (*_WEIGHTED, *_NORMALISATIONS, *_ACTIVATIONS, *_DROPOUTS))
        return not self._is(consumer, (*_ACTIVATIONS, *_DROPOUTS))

    def _is_feature_map(self, name: str) -> bool:
        # Operations such as a + b are in the graph but are not layers.
        return name in self._layers and len(self._layers[name].output.shape) == 4

    def _first_convolution_after(self, name: str) -> str | None:
        """Returns the first layer whose only input is this layer's output and that begins a convolution."""
        return next(
            (
                consumer
                for consumer in sorted(self._graph.consumers[name], key=self._graph.order.__getitem__)
                if self._graph.producers[consumer] == (name,) and self._begins_convolution(consumer)
            ),
            None,
        )

    def _begins_convolution(self, name: str) -> bool:
        while self._is(name, (*_PADDINGS, *_NORMALISATIONS, *_ACTIVATIONS)):
            name = next(iter(self._graph.consumers[name]), "")
        return self._is(name, _CONVOLUTIONS)

    def _is(self, name: str, kinds: tuple[type, ...]) -> bool:
        return isinstance(self._layers.get(name), kinds)
