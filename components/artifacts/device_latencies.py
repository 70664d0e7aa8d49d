"""The latencies that a search took from a device's latency table, which the search writes and other nodes read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from tfx.dsl.io import fileio

from components.artifacts.file_names import DEVICE_LATENCIES_FILE


@dataclass(frozen=True)
class DeviceLatencies:
    """Latencies on the device that a table was measured on, not on the machine that searched.

    Attributes:
        table: Name of the table's file.
        precision: Precision of the TFLite files.
        reference: Latency of the reference model, in milliseconds.
        trials: Latency of the network of each completed trial, in milliseconds, by the trial's ID.
    """

    table: str
    precision: str
    reference: float
    trials: Mapping[str, float]

    def write(self, folder: str) -> None:
        """Writes them to the results of a search."""
        with fileio.open(os.path.join(folder, DEVICE_LATENCIES_FILE), "w") as file:
            file.write(json.dumps(asdict(self), indent=2))

    def in_words(self) -> str:
        """Returns the source of the latencies, such as ``"the latency table phone.csv (int8)"``."""
        return f"the latency table {self.table} ({self.precision})"


def read_device_latencies(results: str) -> DeviceLatencies | None:
    """Reads them from the results of a search, given by its URI; None if the search measured its latencies itself."""
    path = os.path.join(results, DEVICE_LATENCIES_FILE)
    if not fileio.exists(path):
        return None
    with fileio.open(path) as file:
        return DeviceLatencies(**json.loads(file.read()))
