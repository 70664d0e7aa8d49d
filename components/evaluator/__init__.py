"""Evaluates a model and its TFLite files by TFMA, and decides with confidence intervals; records the model's hash."""

from components.evaluator.component import Evaluator

__all__ = ["Evaluator"]
