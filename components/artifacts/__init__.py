"""Files that one node writes and another reads."""
