"""The public names of the library; users find them in :mod:`compressor_lib` itself, whose ``__all__`` lists them."""

# Each name is given as itself, by which type checkers know that it is handed on.
from compressor_lib.cuts.surgery import create_submodel as create_submodel
from compressor_lib.deployment.export import export_classifier as export_classifier
from compressor_lib.errors import CompressorError as CompressorError
from compressor_lib.objective.metrics import AccuracyCompression as AccuracyCompression
from compressor_lib.pretraining.bank import TranslatorBank as TranslatorBank
from compressor_lib.pretraining.translator_fit import fit_translators as fit_translators
from compressor_lib.search.backbones import HyperBackbones as HyperBackbones
from compressor_lib.search.family import HyperFamily as HyperFamily
from compressor_lib.search.hypermodels import HyperCompressedEfficientNetB5 as HyperCompressedEfficientNetB5
from compressor_lib.search.hypermodels import HyperCompressedMobileNet as HyperCompressedMobileNet
from compressor_lib.search.hypermodels import HyperCompressedMobileNetV2 as HyperCompressedMobileNetV2
from compressor_lib.search.hypermodels import HyperCompressor as HyperCompressor
from compressor_lib.search.options import SearchOptions as SearchOptions
from compressor_lib.search.run import run_search as run_search
from compressor_lib.training.options import Distillation as Distillation
from compressor_lib.training.options import TrainingOptions as TrainingOptions
from compressor_lib.training.train import train as train
