"""Converter: converts a model to TFLite and measures the latency of each TFLite model."""

from components.converter.component import Converter

__all__ = ["Converter"]
