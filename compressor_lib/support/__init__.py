"""Helpers for files, processes, logging and networking that the other rooms use."""
