"""A worker of a parallel search: runs trials from the chief until there are no more.

:mod:`components.pruning_search.parallel` starts it with keras-tuner's environment variables, as
``components.pruning_search.worker <job.json>``. Trials are stored next to that file.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

from components.pruning_search.job import SearchJob
from compressor_lib.errors import CompressorError

logger = logging.getLogger(__name__)

STOPPED = 2
"""Exit status of a worker that stopped for a reason that a restart would not fix, such as a full disk."""


def main(path: Path) -> None:
    """Rebuilds the search and runs trials for its chief."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    job = SearchJob.load(path)
    try:
        job.search(job.hypermodel(), path.parent)
    except CompressorError as error:
        logger.error("%s", error)
        sys.exit(STOPPED)


def _end_with_parent() -> None:
    """Blocks until the parent process exits, which closes its end of stdin, and then exits too."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
