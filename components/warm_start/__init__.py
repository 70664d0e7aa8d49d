"""State that one run stores next to the pushed models for the next run."""

from components.warm_start.component import Handover, PreviousRun

__all__ = ["Handover", "PreviousRun"]
