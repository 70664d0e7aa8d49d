from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def without_credentials(stored):
    """For every test of a platform."""
