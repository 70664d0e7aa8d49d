"""TFX's Transform, which here knows the classes before it starts."""

from components.transform.component import Transform

__all__ = ["Transform"]
