"""Shows block by block which parts of the reference network were kept, removed and added."""

from __future__ import annotations

from dataclasses import replace

import keras

from components.report.data import Block
from compressor_lib.cuts.surgery import without_head
from compressor_lib.networks.cut_points import CutPoints
from compressor_lib.networks.graph import LayerGraph
from compressor_lib.networks.heads import last_feature_map
from compressor_lib.networks.layer_names import TRANSLATOR_PREFIX


def network_blocks(reference: keras.Model, compressed: keras.Model) -> list[Block]:
    """Compares a compressed classifier with its reference model.

    Args:
        reference: The uncompressed functional model, at the compressed classifier's image size.
        compressed: The compressed classifier. Its layers have the same names as in ``reference``, except for
            translators.

    Returns:
        The blocks of ``reference`` in network order, each between two possible cuts. Added blocks follow the last kept
        layer before them.
    """
    kept = {layer.name for layer in compressed.layers}
    added = _added(compressed)
    backbone = without_head(reference)
    ends = set(CutPoints(backbone).cuts) | {last_feature_map(reference)}
    layers = {layer.name: layer for layer in backbone.layers}
    blocks: list[Block] = []
    run: list[str] = []
    order = [name for name in LayerGraph.of(backbone).order if name in layers]
    for place, name in enumerate(order):
        run.append(name)
        following = order[place + 1] if place + 1 < len(order) else None
        # A cut inside a block splits the block in two.
        turns = following is not None and (following in kept) != (name in kept)
        if name in ends or turns or following is None:
            blocks.append(_block([layers[one] for one in run], "kept" if name in kept else "cut"))
            run = []
        if name in added:
            blocks.append(added[name])
    return [*blocks, _head(compressed)]


def _block(layers: list[keras.layers.Layer], state: str) -> Block:
    shape = layers[-1].output.shape
    size, channels = (int(shape[1]), int(shape[-1])) if len(shape) == 4 else (1, int(shape[-1]))
    return Block(layers[-1].name, state, sum(layer.count_params() for layer in layers), size, channels)


def _head(compressed: keras.Model) -> Block:
    graph = LayerGraph.of(compressed)
    last = graph.order[last_feature_map(compressed)]
    parameters = sum(layer.count_params() for layer in compressed.layers if graph.order[layer.name] > last)
    return Block("head", "head", parameters, 0, int(compressed.output_shape[-1]))


def _added(compressed: keras.Model) -> dict[str, Block]:
    """Returns the translator or tail, by the layer that it follows; empty for a truncation."""
    graph = LayerGraph.of(compressed)
    names = [name for name in graph.order if name.startswith(TRANSLATOR_PREFIX)]
    if not names:
        return {}
    (a,) = graph.producers[names[0]]
    block = _block([compressed.get_layer(name) for name in names], "added")
    is_tail = names[-1] == last_feature_map(compressed)
    return {a: replace(block, name="tail" if is_tail else "translator")}
