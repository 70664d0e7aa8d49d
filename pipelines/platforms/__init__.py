"""Runs and schedules on platforms that take compiled packages."""
