"""Translator pruning of Keras CNNs: find the smallest sub-network that keeps the accuracy.

The names in ``__all__`` are the public API. They are loaded on first use, so that importing the package takes
milliseconds.
"""

from typing import TYPE_CHECKING, Any

from compressor_lib.support.keras_settings import check_keras

if TYPE_CHECKING:
    from compressor_lib.public import *

__version__ = "0.1.0"
__all__ = [
    "AccuracyCompression",
    "CompressorError",
    "Distillation",
    "HyperBackbones",
    "HyperCompressedEfficientNetB5",
    "HyperCompressedMobileNet",
    "HyperCompressedMobileNetV2",
    "HyperCompressor",
    "HyperFamily",
    "SearchOptions",
    "TrainingOptions",
    "TranslatorBank",
    "create_submodel",
    "export_classifier",
    "fit_translators",
    "run_search",
    "train",
]

check_keras()  # before any module imports Keras, which may raise a less helpful error


def __getattr__(name: str) -> Any:
    """Loads the public names (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from compressor_lib import public

    return getattr(public, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
