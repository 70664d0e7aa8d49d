"""Local runs: what they check, start, watch and leave behind."""
