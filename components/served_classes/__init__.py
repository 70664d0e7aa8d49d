"""Reads the classes of the model on a Vertex AI endpoint, so that the next model keeps their order."""

from components.served_classes.component import ServedClasses

__all__ = ["ServedClasses"]
