"""Evaluates a model and its TFLite models with TFMA and decides with confidence intervals."""

from components.evaluator.component import Evaluator

__all__ = ["Evaluator"]
