from __future__ import annotations

import os
from pathlib import Path

import pytest

from compressor_lib.support.control_groups import usable_cores, usable_memory, usable_threads


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A machine of four cores, of which the process is in a group inside another one."""
    (tmp_path / "sys/fs/cgroup/mine/deeper").mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/mine/deeper\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    return tmp_path


def group(root: Path, name: str, file: str, content: str) -> None:
    (root / "sys/fs/cgroup" / name / file).write_text(content)


def test_machine_is_the_limit_without_control_groups(root):
    assert usable_cores(root) == 4
    assert usable_memory(root) == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_strictest_control_group_is_the_limit(root):
    group(root, "mine", "memory.max", "1073741824\n")
    group(root, "mine/deeper", "memory.max", "max\n")
    group(root, "mine/deeper", "cpu.max", "250000 100000\n")
    group(root, "mine", "cpu.max", "150000 100000\n")
    assert usable_memory(root) == 2**30
    assert usable_cores(root) == 1.5


def test_cpu_affinity_limits_the_control_group(root):
    group(root, "mine", "cpu.max", "800000 100000\n")
    assert usable_cores(root) == 4


@pytest.mark.parametrize(("limit", "threads"), [("250000 100000", 2), ("50000 100000", 1), ("max 100000", 4)])
def test_number_of_threads_is_a_positive_integer(root, limit, threads):
    group(root, "mine", "cpu.max", limit)
    assert usable_threads(root) == threads
