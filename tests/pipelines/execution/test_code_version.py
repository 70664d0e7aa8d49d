from __future__ import annotations

import shutil

import pytest

from pipelines.execution.code_version import code_version


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "pack"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.py").write_text("x = 1\n")
    (folder / "sub" / "b.py").write_text("y = 2\n")
    (folder / "notes.md").write_text("words")
    return folder


def test_projects_own_version_is_short_hex_and_steady():
    assert code_version() == code_version()
    assert len(code_version()) == 16
    int(code_version(), 16)


def test_any_edit_changes_it(package):
    first = code_version([package])
    (package / "sub" / "b.py").write_text("y = 3\n")
    second = code_version([package])
    (package / "a.py").rename(package / "c.py")
    third = code_version([package])
    assert len({first, second, third}) == 3


def test_place_and_other_files_do_not_matter(package, tmp_path):
    first = code_version([package])
    (package / "notes.md").write_text("other words")
    shutil.copytree(package, tmp_path / "elsewhere" / "pack")
    assert code_version([tmp_path / "elsewhere" / "pack"]) == first
