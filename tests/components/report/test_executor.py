from __future__ import annotations

import json

from components.report.executor import _scrubbed


def test_what_gives_access_is_left_out():
    config = {"output": "https://me:secret@host/root?X-Goog-Signature=abc&x=1", "data": {"path": "gs://bucket/a?b"}}
    assert json.loads(_scrubbed(json.dumps(config))) == {
        "output": "https://host/root",
        "data": {"path": "gs://bucket/a"},
    }
