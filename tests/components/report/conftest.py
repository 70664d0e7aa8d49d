from __future__ import annotations

import pytest
from made_up_report import made_up_refusal, made_up_report

from components.report.data import ReportData


@pytest.fixture(scope="session")
def report_data() -> ReportData:
    return made_up_report()


@pytest.fixture(scope="session")
def refused() -> ReportData:
    return made_up_refusal()
