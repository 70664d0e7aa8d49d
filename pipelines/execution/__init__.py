"""Local runs: their checks, runners, events and metadata store."""
