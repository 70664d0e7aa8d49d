"""Exit statuses of the command ``compressor``."""

FAILED = 1
"""A run failed."""

WRONG_INPUT = 2
"""Nothing was started, because of what was given or what is missing."""

NOT_BLESSED = 3
"""A run ended well, but its model was not blessed; only if this was asked for."""

NOT_FOLLOWED = 4
"""A run was started elsewhere, and the platform stopped telling of it: its end is not known."""

STOPPED = 130
"""Stopped from the keyboard."""
