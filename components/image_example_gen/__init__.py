"""Converts folders of images to Examples."""

from components.image_example_gen.component import ImageExampleGen

__all__ = ["ImageExampleGen"]
