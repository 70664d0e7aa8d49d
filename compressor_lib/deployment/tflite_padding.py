"""Folds the padding in front of a convolution into the convolution.

Keras' own networks pad in a separate layer in front of each strided convolution. A TFLite file then holds the padded
copy of the largest activations, although the convolution could pad by itself: in MobileNetV2 this copy sets the peak
of the memory, see :mod:`compressor_lib.deployment.activation_memory`. The predictions are the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

_PAD = schema.BuiltinOperator.PAD
_CONVOLUTIONS = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D)


def with_folded_padding(tflite: bytes) -> bytes:
    """Removes each padding that the convolutions after it can do themselves.

    That is so if the padding is the one that TensorFlow calls ``SAME``
    (https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2), such as one row below and one column to the
    right for a 3x3 convolution of stride 2 on an even size.

    Args:
        tflite: Content of a TFLite file, of any precision.

    Returns:
        The content of a file with the same predictions; the given one if there is nothing to fold.
    """
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(tflite))
    folded = [_fold(model, subgraph) for subgraph in model.subgraphs]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model)) if any(folded) else tflite


def _fold(model: schema.ModelT, subgraph: schema.SubGraphT) -> bool:
    """Folds the padding of one subgraph in place. Returns whether there was any."""
    consumers = defaultdict(list)
    for operator in subgraph.operators:
        for tensor in operator.inputs:
            consumers[tensor].append(operator)
    folded = []
    for pad in subgraph.operators:
        if _kind(model, pad) != _PAD:
            continue
        (padded,) = pad.outputs
        if padded not in subgraph.outputs and all(
            _pads_the_same(model, subgraph, pad, convolution) for convolution in consumers[padded]
        ):
            for convolution in consumers[padded]:
                convolution.inputs[0] = pad.inputs[0]
                convolution.builtinOptions.padding = schema.Padding.SAME
            folded.append(pad)
    subgraph.operators = [operator for operator in subgraph.operators if operator not in folded]
    return bool(folded)


def _pads_the_same(
    model: schema.ModelT, subgraph: schema.SubGraphT, pad: schema.OperatorT, convolution: schema.OperatorT
) -> bool:
    """Returns whether an operator is a convolution without padding, whose ``SAME`` padding equals that of ``pad``."""
    if _kind(model, convolution) not in _CONVOLUTIONS or convolution.inputs[0] != pad.outputs[0]:
        return False
    image, padded, kernel = (
        subgraph.tensors[index] for index in (pad.inputs[0], pad.outputs[0], convolution.inputs[1])
    )
    content = model.buffers[subgraph.tensors[pad.inputs[1]].buffer].data
    options = convolution.builtinOptions
    if content is None or options.padding != schema.Padding.VALID or _scaling(image) != _scaling(padded):
        return False
    found = content.view("<i4").reshape(-1, 2).tolist()
    same = [
        _same(image.shape[1], kernel.shape[1], options.strideH, options.dilationHFactor),
        _same(image.shape[2], kernel.shape[2], options.strideW, options.dilationWFactor),
    ]
    return bool(found == [[0, 0], *same, [0, 0]])


def _same(size: int, kernel: int, stride: int, dilation: int) -> Sequence[int]:
    """Returns the rows before and after the image that ``SAME`` padding adds."""
    reach = (kernel - 1) * dilation + 1
    total = int(max((-(-size // stride) - 1) * stride + reach - size, 0))
    return [total // 2, total - total // 2]


def _scaling(tensor: schema.TensorT) -> list[float]:
    """Returns a tensor's type, scales and zero points. A convolution may read either of two tensors alike in them."""
    quantised = tensor.quantization
    if quantised is None or quantised.scale is None:
        return [tensor.type]
    return [tensor.type, *quantised.scale, *quantised.zeroPoint]


def _kind(model: schema.ModelT, operator: schema.OperatorT) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))  # files of either version of the schema
