from __future__ import annotations

from components.report.data import ReportData


def test_what_is_written_is_read(report_data, tmp_path):
    report_data.write(tmp_path)
    assert ReportData.read(tmp_path) == report_data
