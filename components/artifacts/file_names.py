"""Names of files that one node writes and another reads."""

SEARCH_REPORT_FILE = "search_report.json"
"""In the results of the search: one :class:`compressor_lib.search.run.TrialReport` per trial."""

FINALISTS_FILE = "finalists.json"
"""In the results of the search: one :class:`compressor_lib.search.finalists.Finalist` per retrained network, the winner
first. There is no such file without finalists."""

DEVICE_LATENCIES_FILE = "device_latencies.json"
"""In the results of the search: a :class:`components.artifacts.device_latencies.DeviceLatencies`. There is no such file
if the search measured latencies itself, or used none."""

HISTORY_FILE = "history.json"
"""In the output of a Trainer: its metrics after every epoch."""

SUMMARY_FILE = "data.json"
"""In the anomalies: a :class:`components.artifacts.data_summary.DataSummary`."""

VERDICT_FILE = "verdict.json"
"""In the evaluation: a :class:`compressor_lib.deployment.gate.Verdict`."""
