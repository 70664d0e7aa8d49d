"""What one run leaves beside the pushed models for the next one."""

from components.warm_start.component import Handover, PreviousRun

__all__ = ["Handover", "PreviousRun"]
