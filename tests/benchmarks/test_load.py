from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks import load
from benchmarks.watch import Load, Watch

HOLDS = "import sys, time; held = b'1' * 2**26; print(flush=True); sys.stdin.read()"


def test_what_a_child_holds_is_counted():
    with Watch(os.getpid()) as watch:
        began = time.time()
        time.sleep(1)
        alone = time.time()
        with subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            held = time.time()
            time.sleep(1)
            child.stdin.close()
        more = watch.between(held, held + 1).memory - watch.between(began, alone).memory
    assert 2**26 < more < 2**27


def test_a_slope_is_what_one_more_takes(monkeypatch):
    def measured(count: int, classes: int, workers: int = 1, last: str = "") -> dict[str, Load]:
        del classes, workers, last
        return dict.fromkeys([load.TOTAL, *load.IN_PROCESSES], Load(10 + count / 100, 5.0, 1e9 + 2000 * count))

    tables = {}
    monkeypatch.setattr(load, "_measured", measured)
    monkeypatch.setattr(load, "show", lambda name, title, header, rows: tables.update({name: rows[0]}))
    load._growing("image", [1000, 3000], [(1000, 10), (3000, 10)])
    assert tables["load_image_seconds"] == [load.TOTAL, 20, 40, 10]
    assert tables["load_image_memory"] == [load.TOTAL, 1002, 1006, 2]
    load._workers([1000])
    assert tables["load_workers"] == ["ImageExampleGen", 20, 20, 1]
