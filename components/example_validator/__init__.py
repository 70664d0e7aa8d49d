"""Compares the statistics of the data with its schema and with the statistics of the previous run."""

from components.example_validator.component import ExampleValidator

__all__ = ["ExampleValidator"]
