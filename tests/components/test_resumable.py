from __future__ import annotations

import os

from components.resumable import mark_done, sweep, work_key


def test_the_folders_of_other_work_are_deleted_once_it_is_done(tmp_path):
    for name in ("mine", "other", "cut short"):
        (tmp_path / name / "search").mkdir(parents=True)
    for name in ("mine", "other"):
        mark_done(tmp_path / name)
    (tmp_path / "forgotten").mkdir()
    os.utime(tmp_path / "forgotten", (0, 0))
    (tmp_path / ".deleted-earlier").mkdir()
    sweep(tmp_path / "mine")
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "cut short"}


def test_key_depends_on_everything_described():
    keys = {work_key(*described) for described in ([{"a": 1}, "x"], [{"a": 2}, "x"], [{"a": 1}, "y"])}
    assert len(keys) == 3
    assert work_key({"a": 1, "b": 2}) == work_key({"b": 2, "a": 1})
