"""Converter: makes the TFLite models that ship, and measures how fast they are."""

from components.converter.component import Converter

__all__ = ["Converter"]
