"""The errors of the stand-in for Kubeflow's backend."""

from __future__ import annotations


class Refused(Exception):
    """The backend refuses a package or a task."""


class TaskFailed(Exception):
    """A task's process ended with a status other than 0."""
