"""Names of files that one node writes and another reads."""

SEARCH_REPORT_FILE = "search_report.json"
"""In the results of the search: a :class:`compressor_lib.search.run.TrialReport` for every trial."""

HISTORY_FILE = "history.json"
"""In the run of a Trainer: its metrics after every epoch."""
