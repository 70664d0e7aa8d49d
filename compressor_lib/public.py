"""The public names of the library; users find them in :mod:`compressor_lib` itself."""

from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.deployment.export import export_classifier
from compressor_lib.errors import CompressorError
from compressor_lib.objective.metrics import AccuracyCompression
from compressor_lib.pretraining.bank import TranslatorBank
from compressor_lib.pretraining.translator_fit import fit_translators
from compressor_lib.search.hypermodels import (
    HyperCompressedEfficientNetB5,
    HyperCompressedMobileNet,
    HyperCompressedMobileNetV2,
    HyperCompressor,
)
from compressor_lib.search.run import SearchOptions, run_search
from compressor_lib.training.options import Distillation, TrainingOptions
from compressor_lib.training.train import train

__all__ = [
    "AccuracyCompression",
    "CompressorError",
    "Distillation",
    "HyperCompressedEfficientNetB5",
    "HyperCompressedMobileNet",
    "HyperCompressedMobileNetV2",
    "HyperCompressor",
    "SearchOptions",
    "TrainingOptions",
    "TranslatorBank",
    "create_submodel",
    "export_classifier",
    "fit_translators",
    "run_search",
    "train",
]
