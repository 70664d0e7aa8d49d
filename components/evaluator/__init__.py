"""TFX's Evaluator with a gate that is sure of what it says, and that names the model it says it of."""

from components.evaluator.component import Evaluator

__all__ = ["Evaluator"]
