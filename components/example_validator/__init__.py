"""Statistics of the data beside its schema and beside those of the run before."""

from components.example_validator.component import ExampleValidator

__all__ = ["ExampleValidator"]
