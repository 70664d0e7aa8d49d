"""Names of the artifacts' files that commands of this machine read.

They repeat :mod:`components.artifacts.file_names`: importing :mod:`components` loads TFX, which takes seconds, and
these commands respond at once.
"""

HISTORY_FILE = "history.json"
SEARCH_REPORT_FILE = "search_report.json"
SUMMARY_FILE = "data.json"
VERDICT_FILE = "verdict.json"
