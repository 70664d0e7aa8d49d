"""The model that serves now, for the Evaluator to compare with."""

from components.deployed_model.component import DeployedModel

__all__ = ["DeployedModel"]
