"""The memory that a TFLite model needs for its activations: what a microcontroller must have free in RAM.

A tensor is live from the operator that writes it to the last operator that reads it. No plan of the memory can do with
less than the live tensors of one operator, and planners come close to the largest such sum (Pisarchyk and Lee,
arXiv:2001.03288, section 3: the lower bound; David et al., TensorFlow Lite Micro, arXiv:2010.08678, section 4.4.2: the
planner). Weights are not included: a microcontroller reads them from flash.
"""

from __future__ import annotations

import math

from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

_Types = schema.TensorType

_BYTES = {
    _Types.BOOL: 1, _Types.INT8: 1, _Types.UINT8: 1, _Types.INT16: 2, _Types.INT32: 4, _Types.INT64: 8,
    _Types.FLOAT16: 1, _Types.FLOAT32: 1,
}  # fmt: skip
"""Bytes of an element by its type. Floating-point numbers count as the int8 that they become."""


def activation_memory(tflite: bytes) -> int:
    """Returns the peak memory for the activations of a model in int8, for one image, in bytes.

    The figure depends on the shapes alone. So it is the same from the model's float32 or float16 file as from its int8
    file, unless the converter needs additional operators in int8, for example to bring the inputs of a concatenation
    to one scale.

    Args:
        tflite: Content of a TFLite file with one subgraph, of any precision, from
            :func:`compressor_lib.deployment.tflite.to_tflite`.

    Returns:
        The largest sum of the bytes of live tensors at any operator. The image and the probabilities are included.
    """
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(tflite))
    (graph,) = model.subgraphs
    sizes = [_BYTES[tensor.type] * math.prod(map(int, tensor.shape)) for tensor in graph.tensors]
    lives = _lives(model, graph)
    live = [0] * len(graph.operators)
    for tensor, (first, last) in lives.items():
        for position in range(first, last + 1):
            live[position] += sizes[tensor]
    # The int8 file has one more operator at each end, which turns uint8 into int8 or back.
    ends = [
        2 * sizes[tensor] for tensor in (*graph.inputs, *graph.outputs) if graph.tensors[tensor].type == _Types.FLOAT32
    ]
    return max(live + ends)


def _lives(model: schema.ModelT, graph: schema.SubGraphT) -> dict[int, tuple[int, int]]:
    """Returns the first and the last operator during which each activation is live."""
    constants = {
        index
        for index, tensor in enumerate(graph.tensors)
        if model.buffers[tensor.buffer].data is not None and index not in graph.inputs
    }
    lives = {int(tensor): (0, 0) for tensor in graph.inputs}
    for position, operator in enumerate(graph.operators):
        used = {int(tensor) for tensor in operator.inputs if tensor >= 0}
        written = {int(tensor) for tensor in operator.outputs}
        if used <= constants:
            constants |= written  # such as a weight that is stored as float16 and widened
            continue
        for tensor in (used | written) - constants:
            lives[tensor] = (lives.get(tensor, (position, position))[0], position)
    for tensor in graph.outputs:
        lives[int(tensor)] = (lives[int(tensor)][0], len(graph.operators) - 1)
    return lives
