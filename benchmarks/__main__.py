"""Runs every benchmark: ``python -m benchmarks [--full]``."""

import os
import sys

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")  # as the command line does

from benchmarks import speed
from benchmarks.data import load
from benchmarks.quality.compare import FULL, SHORT, compare

if __name__ == "__main__":
    full = "--full" in sys.argv[1:]
    speed.main(full)
    plan = FULL if full else SHORT
    compare(load(plan.limits), plan)
