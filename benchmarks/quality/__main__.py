"""Runs the comparison: ``python -m benchmarks.quality [--full] [--seeds 0 1 2] [--budgets 3] [--data FOLDER]``."""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")  # as the command line does

from benchmarks.data import folders, load
from benchmarks.quality.compare import FULL, SHORT, compare

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--full", action="store_true", help="measure every budget at full size, which takes hours")
    parser.add_argument("--seeds", type=int, nargs="+", default=(), help="seeds to run; default: all")
    parser.add_argument("--budgets", type=int, help="number of budgets to run, the most important first; default: all")
    parser.add_argument("--data", type=Path, help="folder with train/, validation/ and test/, of a folder per class")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    plan = FULL if arguments.full else SHORT
    images = folders(arguments.data, plan.limits) if arguments.data else load(plan.limits)
    compare(images, replace(plan, budgets=plan.budgets[: arguments.budgets]), arguments.seeds)
