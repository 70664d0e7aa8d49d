"""How the stand-in for Kubeflow's backend fails."""

from __future__ import annotations


class Refused(Exception):
    """What the backend answers to what it does not take."""


class TaskFailed(Exception):
    """A task's process ended with another status than 0."""
