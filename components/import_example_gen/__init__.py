"""TFRecords of Examples, in spans."""

from components.import_example_gen.component import ImportExampleGen

__all__ = ["ImportExampleGen"]
