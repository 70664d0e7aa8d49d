"""``compressor doctor`` without a package: checks that this machine has what a run needs."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from compressor_lib.errors import CompressorError, first_line
from compressor_lib.support.control_groups import usable_cores, usable_memory

if TYPE_CHECKING:
    from pipelines.config.config import BackboneConfig

OK, WARNING, PROBLEM = "ok", "warning", "problem"

PACKAGES = ("auto-compressor", "tensorflow", "keras", "keras-tuner", "tfx")

_GIB = 2**30
_LEAST_MEMORY, _GOOD_MEMORY = 2 * _GIB, 6 * _GIB
_LEAST_DISK, _GOOD_DISK = 1 * _GIB, 10 * _GIB


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: What was checked.
        grade: :data:`OK`, :data:`WARNING` or :data:`PROBLEM`.
        detail: What was found, and how to mend it.
    """

    name: str
    grade: str
    detail: str

    def __str__(self) -> str:
        """Formats the finding as one line."""
        return f"{self.grade:8} {self.name}: {self.detail}"


def examine(output: str, backbone: BackboneConfig) -> Iterator[Finding]:
    """Makes one check after the other.

    Args:
        output: The folder that a run would write to, which need not exist.
        backbone: The network whose weights a run would need.
    """
    yield check_python(sys.version_info[:2])
    for package in PACKAGES:
        yield check_package(package)
    yield check_cores()
    yield check_memory(usable_memory())
    yield check_disk("disk of the output", output)
    yield check_disk("disk of TMPDIR", tempfile.gettempdir())
    yield check_gpu()
    yield check_weights(backbone)


def check_python(version: tuple[int, ...]) -> Finding:
    """Checks that TFX supports this Python."""
    detail = f"{platform.python_version()} at {sys.executable}"
    if version in ((3, 10), (3, 11)):
        return Finding("Python", OK, detail)
    return Finding(
        "Python", PROBLEM, f"{detail}: TFX needs 3.10 or 3.11: create the environment again with one of them"
    )


def check_package(name: str) -> Finding:
    """Checks that a package is installed, and finds its release."""
    try:
        return Finding(name, OK, metadata.version(name))
    except metadata.PackageNotFoundError:
        way_out = "pip install 'auto-compressor[pipelines]'" if name == "tfx" else "pip install auto-compressor"
        return Finding(name, PROBLEM, f"not installed: {way_out}")


def check_cores() -> Finding:
    """Checks how many cores this process may use."""
    cores = usable_cores()
    shown = f"{cores:g} of {os.cpu_count()}"
    if cores < 2:
        return Finding("cores", WARNING, f"{shown}: a run takes about twice as long as on two; provide more if you can")
    return Finding("cores", OK, shown)


def check_memory(limit: int) -> Finding:
    """Checks that there is enough memory for TensorFlow and the search's features.

    Args:
        limit: Memory that this process may use, in bytes.
    """
    detail = f"{limit / _GIB:.1f} GiB"
    way_out = "lower search.feature_memory_mb and batch_size, or use a machine with more"
    if limit < _LEAST_MEMORY:
        return Finding("memory", PROBLEM, f"{detail}, but TensorFlow and TFX alone take about 2: {way_out}")
    if limit < _GOOD_MEMORY:
        return Finding("memory", WARNING, f"{detail}, which may be short: {way_out}")
    return Finding("memory", OK, detail)


def check_disk(name: str, folder: str) -> Finding:
    """Checks that a folder is writable and its disk has space."""
    if "://" in folder:
        return Finding(name, OK, f"{folder} is not on this machine, so it is not checked")
    there = Path(folder).absolute()
    while not os.path.isdir(there):  # Path.is_dir raises below a folder without permission
        there = there.parent
    free = shutil.disk_usage(there).free
    detail = f"{free / _GIB:.1f} GiB free at {there}"
    elsewhere = "TMPDIR" if "TMPDIR" in name else "--output"
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(name, PROBLEM, f"{there} is not writable: choose another folder with {elsewhere}")
    if free < _GOOD_DISK:
        grade = PROBLEM if free < _LEAST_DISK else WARNING
        return Finding(name, grade, f"{detail}: free some, or choose another folder with {elsewhere}")
    return Finding(name, OK, detail)


def check_gpu() -> Finding:
    """Finds the GPUs that TensorFlow can use."""
    try:
        import tensorflow as tf

        names = [device.name for device in tf.config.list_physical_devices("GPU")]
    except Exception as error:  # a broken installation may raise anything
        cause = first_line(error)
        return Finding("GPU", PROBLEM, f"TensorFlow cannot be imported ({cause}): install it again")
    if names:
        return Finding("GPU", OK, f"TensorFlow sees {', '.join(names)}")
    if os.path.exists("/proc/driver/nvidia/version"):
        way_out = "pip install 'tensorflow[and-cuda]', in the installed release"
        return Finding("GPU", WARNING, f"there is an NVIDIA driver, but TensorFlow sees no GPU: {way_out}")
    return Finding("GPU", OK, "none; networks are trained on the CPU")


def check_weights(backbone: BackboneConfig) -> Finding:
    """Checks that the backbone's weights are on this machine, or can be downloaded."""
    from pipelines.execution.preflight import catalogued

    if backbone.name is None:
        return Finding("weights", OK, f"of {backbone.model}")
    try:
        _, weights = catalogued(backbone, download=False)
    except CompressorError as error:
        return Finding("weights", PROBLEM, str(error))
    return Finding("weights", OK, f"{weights} ({backbone.name})")
