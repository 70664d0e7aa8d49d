"""The classes that an endpoint on Vertex AI serves, for the next model to keep their places."""

from components.served_classes.component import ServedClasses

__all__ = ["ServedClasses"]
