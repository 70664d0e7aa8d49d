"""Finds the currently deployed model, which the Evaluator compares with."""

from components.deployed_model.component import DeployedModel

__all__ = ["DeployedModel"]
