"""The published import path of the hypermodels, which are in :mod:`compressor_lib.search.hypermodels`."""

from compressor_lib.search.hypermodels import (
    HyperCompressedEfficientNetB5,
    HyperCompressedMobileNet,
    HyperCompressedMobileNetV2,
    HyperCompressor,
)

__all__ = ["HyperCompressedEfficientNetB5", "HyperCompressedMobileNet", "HyperCompressedMobileNetV2", "HyperCompressor"]
