"""Exit statuses of the command ``compressor``."""

FAILED = 1
"""A run failed."""

WRONG_INPUT = 2
"""Nothing was started, because of what was given or what is missing."""

NOT_BLESSED = 3
"""A run ended well, but its model was not blessed; only if this was asked for."""

STOPPED = 130
"""Stopped from the keyboard."""
