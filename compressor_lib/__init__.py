"""Translator pruning of Keras CNNs: find the smallest sub-network that keeps the accuracy."""

__version__ = "0.1.0"
