"""Runs and schedules on platforms that run compiled packages, and schedules on this machine."""
