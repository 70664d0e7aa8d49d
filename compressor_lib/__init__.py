"""Translator pruning of Keras CNNs: find the smallest sub-network that keeps the accuracy."""

from compressor_lib.support.keras_settings import check_keras

__version__ = "0.1.0"

check_keras()  # before a module imports Keras, which may fail in its own words
