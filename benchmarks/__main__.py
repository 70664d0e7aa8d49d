"""Runs every benchmark: ``python -m benchmarks [--full]``."""

import os
import sys

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")  # as the command line does

from benchmarks import quality, speed

if __name__ == "__main__":
    full = "--full" in sys.argv[1:]
    speed.main(full)
    quality.main(full)
