"""Files that one node writes and another node reads."""
