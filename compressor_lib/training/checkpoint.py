"""The state of a training after an epoch, in one file, so that a training that was stopped resumes there."""

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
    """What Keras' BackupAndRestore keeps of one ``fit``, for a training of several phases that has a best epoch.

    Attributes:
        trained: Values of all variables that training changes: weights, moments, seeds.
        best: Weights of the best epoch.
        plain: The rest, as JSON takes it.
    """

    trained: Sequence[npt.NDArray[Any]]
    best: Sequence[npt.NDArray[Any]]
    plain: dict[str, Any]

    def write(self, path: Path) -> None:
        """Writes the state in place of an older one, which stays until the new one is whole.

        Raises:
            OSError: If it cannot be written.
        """
        arrays = {_PLAIN: np.array(json.dumps(self.plain))}
        for kind, values in (("trained", self.trained), ("best", self.best)):
            arrays |= {f"{kind}/{number}": value for number, value in enumerate(values)}
        write_arrays(arrays, path)

    @classmethod
    def read(cls, path: Path) -> TrainingCheckpoint | None:
        """Reads what :meth:`write` wrote; None if there is nothing, or it is damaged, which is logged."""
        arrays = read_arrays(path)
        if arrays is None:
            if path.exists():
                logger.warning("%s is damaged: the training starts again", path)
            return None
        plain = json.loads(str(arrays.pop(_PLAIN)))
        trained, best = ([arrays[name] for name in arrays if name.startswith(kind)] for kind in ("trained/", "best/"))
        return cls(trained, best, plain)
