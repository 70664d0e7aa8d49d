"""The files that one node writes and another reads."""
