"""The operators of a TFLite model: their names in a latency table, and a file with each of them alone.

The latency of a network is then the sum over its operators, as in the tables of ProxylessNAS (Cai et al.,
arXiv:1812.00332, appendix B) and Once-for-All (Cai et al., arXiv:1908.09791).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils


def _by_value(enumeration: type) -> dict[int, str]:
    """Returns the names in one of TFLite's enumerations, in lower case, by value."""
    return {value: name.lower() for name, value in vars(enumeration).items() if isinstance(value, int)}


_KINDS, _TYPES = _by_value(schema.BuiltinOperator), _by_value(schema.TensorType)


def operators(tflite: bytes) -> list[str]:
    """Returns the operators of a model by name, in the order of execution.

    A name consists of the kind, the kernel or window and its stride, the shapes of the inputs and outputs without the
    batch, and the number type, as in ``"conv_2d-3x3x3-s2x2-224x224x3-112x112x32-int8"``. It has no characters that a
    shell treats specially. Operators of one name take the same time, whatever their weights.

    Args:
        tflite: Content of a TFLite file with one subgraph, such as one from
            :func:`compressor_lib.deployment.tflite.to_tflite`. Operators on constants alone, such as those that widen
            the weights of a float16 file, are left out: they run once, when the file is loaded.
    """
    model = _Model(tflite)
    return [model.name(operator) for operator in model.operators]


def operator_files(tflite: bytes) -> dict[str, bytes]:
    """Returns a TFLite file with each operator of a model alone, with its own weights, by its name.

    Args:
        tflite: As in :func:`operators`, but not in float16.
    """
    model = _Model(tflite)
    files: dict[str, bytes] = {}
    for operator in model.operators:
        name = model.name(operator)
        if name not in files:
            files[name] = model.alone(operator)
    return files


class _Model:
    """A TFLite model, read into objects."""

    def __init__(self, tflite: bytes) -> None:
        self._model = flatbuffer_utils.convert_bytearray_to_object(bytearray(tflite))
        (self._graph,) = self._model.subgraphs
        self._constants = {
            index
            for index, tensor in enumerate(self._graph.tensors)
            if self._model.buffers[tensor.buffer].data is not None and index not in self._graph.inputs
        }
        self.operators: list[schema.OperatorT] = []
        """The operators that run for each image."""
        for operator in self._graph.operators:
            if {int(tensor) for tensor in operator.inputs if tensor >= 0} <= self._constants:
                self._constants |= {int(tensor) for tensor in operator.outputs}
            else:
                self.operators.append(operator)

    def name(self, operator: schema.OperatorT) -> str:
        """Returns the name of an operator, see :func:`operators`."""
        code = self._model.operatorCodes[operator.opcodeIndex]
        options: Any = vars(operator.builtinOptions) if operator.builtinOptions is not None else {}
        inputs = [int(tensor) for tensor in operator.inputs if tensor >= 0]
        kernel = self._kernel(inputs, options)
        dilation = options.get("dilationHFactor", 1), options.get("dilationWFactor", 1)
        parts = [
            _KINDS[max(code.builtinCode, code.deprecatedBuiltinCode)],
            *([_shown(kernel)] if kernel else []),
            *([f"s{_shown([options['strideH'], options['strideW']])}"] if "strideH" in options else []),
            *([f"d{_shown(dilation)}"] if dilation != (1, 1) else []),
            self._shapes([tensor for tensor in inputs if tensor not in self._constants]),
            self._shapes(operator.outputs),
            _TYPES[self._graph.tensors[int(operator.outputs[0])].type],
        ]
        return "-".join(parts)

    def _kernel(self, inputs: Sequence[int], options: dict[str, Any]) -> list[int]:
        """Returns the size of a kernel (height, width and the channels that it reads) or of a window."""
        if "filterHeight" in options:
            return [options["filterHeight"], options["filterWidth"]]
        weights = [list(self._graph.tensors[tensor].shape) for tensor in inputs if tensor in self._constants]
        return next((shape[1:] for shape in weights if len(shape) == 4), [])

    def _shapes(self, tensors: Sequence[int]) -> str:
        return "+".join(_shown(self._graph.tensors[int(tensor)].shape[1:]) for tensor in tensors)

    def alone(self, operator: schema.OperatorT) -> bytes:
        """Returns a TFLite file with one operator: its inputs are the model's, except for constants."""
        kept: dict[int, int] = {}
        graph = schema.SubGraphT()
        graph.tensors, graph.inputs = [], []
        buffers = [schema.BufferT()]  # the first one is empty, by convention
        for index in map(int, (*operator.inputs, *operator.outputs)):
            if index < 0 or index in kept:
                continue
            kept[index] = len(graph.tensors)
            tensor = copy.copy(self._graph.tensors[index])
            if index in self._constants:
                buffers.append(self._model.buffers[tensor.buffer])
                tensor.buffer = len(buffers) - 1
            else:
                tensor.buffer = 0
                if index in operator.inputs:
                    graph.inputs.append(kept[index])
            graph.tensors.append(tensor)
        copied = copy.copy(operator)
        copied.opcodeIndex = 0
        copied.inputs = np.array([kept.get(int(index), -1) for index in operator.inputs], np.int32)
        copied.outputs = np.array([kept[int(index)] for index in operator.outputs], np.int32)
        graph.operators, graph.outputs = [copied], list(copied.outputs)
        model = schema.ModelT()
        model.version = self._model.version
        model.operatorCodes = [self._model.operatorCodes[operator.opcodeIndex]]
        model.subgraphs, model.buffers = [graph], buffers
        return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _shown(shape: Sequence[int]) -> str:
    return "x".join(str(int(size)) for size in shape) or "1"
