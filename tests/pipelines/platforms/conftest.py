from __future__ import annotations

import pytest
from fake_schedulers import FakeSystem


@pytest.fixture(autouse=True)
def without_credentials(stored):
    """For every test of a platform."""


@pytest.fixture
def system(tmp_path_factory, monkeypatch) -> FakeSystem:
    """A machine that has neither cron nor systemd."""
    return FakeSystem(tmp_path_factory.mktemp("system"), monkeypatch)
