"""Reads TFRecords of Examples from spans."""

from components.import_example_gen.component import ImportExampleGen

__all__ = ["ImportExampleGen"]
