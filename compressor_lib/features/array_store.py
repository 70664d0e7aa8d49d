"""Arrays larger than memory: rows are kept in memory up to a limit, then in memory-mapped files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from compressor_lib.errors import CompressorError

Array = npt.NDArray[Any]


class ArrayStore:
    """Collects arrays block by block. All arrays together use at most ``limit`` bytes of memory.

    The files have no names, so nothing is left behind however the process ends.

    Example:
        >>> store = ArrayStore(limit=2**30)
        >>> store.gather({"x": block} for block in np.arange(6).reshape(3, 2))["x"]
        array([0, 1, 2, 3, 4, 5])
    """

    def __init__(self, limit: int | None = None, directory: str | Path | None = None) -> None:
        """Creates an empty store.

        Args:
            limit: Memory in bytes for all arrays ever collected here; None for no limit.
            directory: Folder on the disk to use; the system's temporary folder if None.
        """
        self._limit = float("inf") if limit is None else limit
        self._directory = directory

    def gather(self, blocks: Iterable[Mapping[str, Array]]) -> dict[str, Array]:
        """Concatenates blocks along their first axis.

        Args:
            blocks: Arrays by name, with the same names, dtypes and remaining axes in every block.

        Returns:
            The concatenated arrays by name. Arrays that do not fit into memory are read-only and read from disk on
            access.

        Raises:
            CompressorError: If the disk is full.
        """
        columns: dict[str, _Column] = {}
        for block in blocks:
            for name, rows in block.items():
                columns.setdefault(name, _Column(rows)).append(rows, self)
        return {name: column.joined() for name, column in columns.items()}

    def take(self, size: int) -> bool:
        """Reserves ``size`` bytes of memory, if that much is left."""
        if size > self._limit:
            return False
        self._limit -= size
        return True

    def new_file(self) -> IO[bytes]:
        """Returns a new file to write and read."""
        return tempfile.TemporaryFile(dir=self._directory)


class _Column:
    """One growing array."""

    def __init__(self, first: Array) -> None:
        self._dtype, self._shape = first.dtype, first.shape[1:]
        self._blocks: list[Array] = []
        self._file: IO[bytes] | None = None

    def append(self, rows: Array, store: ArrayStore) -> None:
        if self._file is None and store.take(rows.nbytes):
            self._blocks.append(rows)
            return
        with _full_disk_reported():
            if self._file is None:
                self._file = store.new_file()
                for block in self._blocks:
                    self._file.write(np.ascontiguousarray(block).data)
                self._blocks.clear()
            self._file.write(np.ascontiguousarray(rows).data)

    def joined(self) -> Array:
        if self._file is None:
            joined = np.concatenate(self._blocks)
            self._blocks.clear()
            return joined
        with _full_disk_reported(), self._file:
            self._file.flush()
            return np.memmap(self._file, self._dtype, "r").reshape(-1, *self._shape)


@contextmanager
def _full_disk_reported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CompressorError(
            f"the features of the images cannot be written: {error}. Give them more memory, free disk "
            "space, or set TMPDIR to a folder on a larger disk."
        ) from error
