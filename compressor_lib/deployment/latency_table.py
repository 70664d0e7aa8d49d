"""Latency tables: the measured times of single operators on a device, which stand in for the device itself."""

from __future__ import annotations

import csv
import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from compressor_lib.deployment.precision import Precision
from compressor_lib.errors import CompressorError

OPERATOR = "operator"
"""Title of the column with the operators."""

UNITS = {"milliseconds": 1.0, "microseconds": 1e-3}
"""Titles of the column with the times, and the milliseconds in a unit of each."""

REFERENCE_ROW = "reference"
"""The row with the time of the whole reference model."""

MOST_APART = 3.0
"""Largest ratio between the reference model's time and the sum over its operators, in either direction."""

_MOST_NAMED = 10

HOW_TO_MEASURE = "write their files with 'compressor latency-table' and measure those on the device"


@dataclass(frozen=True)
class LatencyTable:
    """Times of operators on a device.

    Attributes:
        name: Name of the file, for messages.
        milliseconds: Time of each operator for one image, by its name in
            :func:`compressor_lib.deployment.operators.operators`, and of the reference model (``REFERENCE_ROW``).

    Example:
        >>> rows = ["operator,microseconds", "reference.tflite,500", "add-4x4-4x4-int8.tflite,20"]
        >>> LatencyTable.parse(chr(10).join(rows), "phone.csv").milliseconds
        {'reference': 0.5, 'add-4x4-4x4-int8': 0.02}
    """

    name: str
    milliseconds: Mapping[str, float]

    @classmethod
    def read(cls, path: str) -> LatencyTable:
        """Reads a table, see :meth:`parse`.

        Args:
            path: A local file, or one that TensorFlow can read, such as ``gs://...``.

        Raises:
            CompressorError: If the file cannot be read or is not a table.
        """
        name = PurePosixPath(path).name
        try:
            if "://" in path:
                import tensorflow as tf

                with tf.io.gfile.GFile(path) as file:
                    return cls.parse(file.read(), name)
            with open(path, encoding="utf-8-sig") as file:
                return cls.parse(file.read(), name)
        except CompressorError:
            raise
        except Exception as error:  # the file systems of TensorFlow raise many types
            raise CompressorError(f"the latency table {path} cannot be read: {error}") from error

    @classmethod
    def parse(cls, text: str, name: str) -> LatencyTable:
        """Reads a table from text.

        Args:
            text: CSV with the columns ``operator`` and ``milliseconds`` or ``microseconds``. An operator is the name of
                its file, with or without the suffix ``.tflite`` and folders.
            name: Name of the file.

        Raises:
            CompressorError: If it is not such a table, lacks the reference model, or has a time that is not a number
                above 0 or an operator twice.
        """
        header, *rows = [row for row in csv.reader(text.splitlines()) if row] or [[]]
        titles = [title.strip().lower() for title in header]
        unit = next((title for title in titles if title in UNITS), None)
        if OPERATOR not in titles or unit is None:
            raise CompressorError(
                f"the latency table {name} begins with {','.join(header)[:80]!r}: its first line must be "
                f"'{OPERATOR},milliseconds' or '{OPERATOR},microseconds'."
            )
        found: dict[str, float] = {}
        for number, row in enumerate(rows, 2):
            fields = dict(zip(titles, map(str.strip, row), strict=False))
            operator = PurePosixPath(fields.get(OPERATOR, "")).name.removesuffix(".tflite")
            time = _number(fields.get(unit, ""))
            if not operator or time is None:
                raise CompressorError(
                    f"row {number} of the latency table {name} is {','.join(row)[:120]!r}: it must be an operator and "
                    f"its time in {unit}, above 0. Measure this operator again."
                )
            if operator in found:
                raise CompressorError(f"the latency table {name} has {operator} twice: remove one of the rows.")
            found[operator] = time * UNITS[unit]
        if REFERENCE_ROW not in found:
            raise CompressorError(
                f"the latency table {name} has no row '{REFERENCE_ROW}', the time of the whole reference model: "
                f"{HOW_TO_MEASURE}."
            )
        return cls(name, found)

    def check(self, operators: Iterable[str]) -> None:
        """Checks that the table has all operators.

        Raises:
            CompressorError: If some are missing. The message names them, and how to measure them.
        """
        missing = [name for name in dict.fromkeys(operators) if name not in self.milliseconds]
        if missing:
            shown = ", ".join(missing[:_MOST_NAMED]) + (", ..." if len(missing) > _MOST_NAMED else "")
            raise CompressorError(
                f"the latency table {self.name} lacks {len(missing)} operators of the networks: {shown}; "
                f"{HOW_TO_MEASURE}, with the same image sizes, backbones, widths, classes and export formats."
            )

    def total(self, operators: Iterable[str]) -> float:
        """Returns the sum over operators, in milliseconds.

        Raises:
            CompressorError: If the table lacks an operator.
        """
        names = list(operators)
        self.check(names)
        return sum(self.milliseconds[name] for name in names)


@dataclass(frozen=True)
class DeviceYardstick:
    """The latencies of networks on the device that a table was measured on.

    A network's latency is the sum over its operators, scaled so that the reference model's is the measured one: an
    operator alone finds its weights in the cache more often than in a network, and costs a call of its own.

    Attributes:
        table: The table.
        reference: TFLite file of the reference model.
        precision: Precision of the files.

    Raises:
        CompressorError: If the table lacks an operator of the reference model, or the reference model's time is not
            near the sum over its operators.
    """

    table: LatencyTable
    reference: bytes
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        """Refuses a table whose rows do not belong together."""
        if not 1 / MOST_APART <= self.scale <= MOST_APART:
            raise CompressorError(
                f"in the latency table {self.table.name} the reference model takes {self.milliseconds:.4g} ms, but its "
                f"operators {self.milliseconds / self.scale:.4g} ms in all: measure all of them on one device, one at "
                "a time, on one thread of the processor, and in one unit."
            )

    @property
    def milliseconds(self) -> float:
        """The measured latency of the reference model."""
        return self.table.milliseconds[REFERENCE_ROW]

    @functools.cached_property
    def scale(self) -> float:
        """The ratio of the reference model's time to the sum over its operators."""
        return self.milliseconds / self._sum(self.reference)

    def latency(self, tflite: bytes) -> float:
        """Returns the milliseconds that a TFLite model takes for one image on the device."""
        return self.scale * self._sum(tflite)

    def _sum(self, tflite: bytes) -> float:
        from compressor_lib.deployment.operators import operators

        return self.table.total(operators(tflite))

    def in_words(self) -> str:
        """Describes the source of the latencies, such as ``"the latency table phone.csv (int8)"``."""
        return f"the latency table {self.table.name} ({self.precision})"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None
