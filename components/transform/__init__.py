"""TFX's Transform with a fixed order of the classes."""

from components.transform.component import Transform

__all__ = ["Transform"]
