"""What several tests of the pipelines' commands need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def closed(tmp_path, monkeypatch) -> Path:
    """A folder that may not be entered, as it is for a user who is not root."""
    folder = tmp_path / "closed"
    folder.mkdir()
    stat, access = os.stat, os.access

    def refusing(path, *arguments, **named):
        if not isinstance(path, int) and folder in Path(os.fsdecode(path)).parents:
            raise PermissionError(13, "Permission denied", os.fsdecode(path))
        return stat(path, *arguments, **named)

    monkeypatch.setattr(os, "stat", refusing)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder and access(path, mode))
    return folder
