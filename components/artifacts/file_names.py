"""Names of files that one node writes and another reads."""

SEARCH_REPORT_FILE = "search_report.json"
"""In the results of the search: one :class:`compressor_lib.search.run.TrialReport` per trial."""

HISTORY_FILE = "history.json"
"""In the output of a Trainer: its metrics after every epoch."""
