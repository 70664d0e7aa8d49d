"""The state of a training run after an epoch, in one file, from which an interrupted training run resumes."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor_lib.support.atomic_write import read_arrays, write_arrays

logger = logging.getLogger(__name__)

_PLAIN = "plain"


@dataclass(frozen=True)
class TrainingCheckpoint:
    """The state that Keras' BackupAndRestore keeps for one ``fit``, extended to several phases and a best epoch.

    Attributes:
        trained: Values of all variables that training changes: weights, optimizer moments, seeds.
        best: Weights of the best epoch.
        plain: All other values, JSON-compatible.
    """

    trained: Sequence[npt.NDArray[Any]]
    best: Sequence[npt.NDArray[Any]]
    plain: dict[str, Any]

    def write(self, path: Path) -> None:
        """Writes the state. The previous file is replaced once the new one is complete.

        Raises:
            OSError: If the file cannot be written.
        """
        arrays = {_PLAIN: np.array(json.dumps(self.plain))}
        for kind, values in (("trained", self.trained), ("best", self.best)):
            arrays |= {f"{kind}/{number}": value for number, value in enumerate(values)}
        write_arrays(arrays, path)

    @classmethod
    def read(cls, path: Path) -> TrainingCheckpoint | None:
        """Reads a file written by :meth:`write`. Returns None if it is missing or damaged; damage is logged."""
        arrays = read_arrays(path)
        if arrays is None:
            if path.exists():
                logger.warning("%s is damaged: training restarts from the beginning", path)
            return None
        plain = json.loads(str(arrays.pop(_PLAIN)))
        trained, best = ([arrays[name] for name in arrays if name.startswith(kind)] for kind in ("trained/", "best/"))
        return cls(trained, best, plain)
