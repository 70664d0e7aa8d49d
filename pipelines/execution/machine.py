"""``compressor doctor`` without a package: what this machine has of what a run needs."""

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
    """One thing that was looked at.

    Attributes:
        name: The thing.
        grade: :data:`OK`, :data:`WARNING` or :data:`PROBLEM`.
        detail: What was found, and the way out.
    """

    name: str
    grade: str
    detail: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.grade:8} {self.name}: {self.detail}"


def examine(output: str, backbone: BackboneConfig) -> Iterator[Finding]:
    """Looks at one thing after the other.

    Args:
        output: The folder that a run would write to; it need not exist.
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
    """Whether TFX runs on this Python."""
    detail = f"{platform.python_version()} at {sys.executable}"
    if version in ((3, 10), (3, 11)):
        return Finding("Python", OK, detail)
    return Finding("Python", PROBLEM, f"{detail}: TFX needs 3.10 or 3.11, make the environment anew with one of them")


def check_package(name: str) -> Finding:
    """Whether a package is installed, and which release."""
    try:
        return Finding(name, OK, metadata.version(name))
    except metadata.PackageNotFoundError:
        way_out = "pip install 'auto-compressor[pipelines]'" if name == "tfx" else "pip install auto-compressor"
        return Finding(name, PROBLEM, f"not installed: {way_out}")


def check_cores() -> Finding:
    """How many cores this process may use."""
    cores = usable_cores()
    shown = f"{cores:g} of {os.cpu_count()}"
    if cores < 2:
        return Finding("cores", WARNING, f"{shown}: a run takes about twice as long as on two, give it more")
    return Finding("cores", OK, shown)


def check_memory(limit: int) -> Finding:
    """Whether there is memory enough for the search's features and TensorFlow.

    Args:
        limit: What this process may use, in bytes.
    """
    detail = f"{limit / _GIB:.1f} GiB"
    way_out = "lower search.feature_memory_mb and batch_size, or use a machine with more"
    if limit < _LEAST_MEMORY:
        return Finding("memory", PROBLEM, f"{detail}, and TensorFlow and TFX alone take about 2: {way_out}")
    if limit < _GOOD_MEMORY:
        return Finding("memory", WARNING, f"{detail}, which may be short: {way_out}")
    return Finding("memory", OK, detail)


def check_disk(name: str, folder: str) -> Finding:
    """Whether a folder may be written to, and has room."""
    if "://" in folder:
        return Finding(name, OK, f"{folder} is not on this machine, and is not looked at")
    there = Path(folder).absolute()
    while not os.path.isdir(there):  # Path.is_dir raises below a folder not to be entered
        there = there.parent
    free = shutil.disk_usage(there).free
    detail = f"{free / _GIB:.1f} GiB free at {there}"
    elsewhere = "TMPDIR" if "TMPDIR" in name else "--output"
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(name, PROBLEM, f"{there} may not be written to: give another folder by {elsewhere}")
    if free < _GOOD_DISK:
        grade = PROBLEM if free < _LEAST_DISK else WARNING
        return Finding(name, grade, f"{detail}: free some, or give another folder by {elsewhere}")
    return Finding(name, OK, detail)


def check_gpu() -> Finding:
    """Which GPUs TensorFlow sees."""
    try:
        import tensorflow as tf

        names = [device.name for device in tf.config.list_physical_devices("GPU")]
    except Exception as error:  # a broken installation may raise anything
        cause = first_line(error)
        return Finding("GPU", PROBLEM, f"TensorFlow cannot be imported ({cause}): install it again")
    if names:
        return Finding("GPU", OK, f"TensorFlow sees {', '.join(names)}")
    if os.path.exists("/proc/driver/nvidia/version"):
        way_out = "pip install 'tensorflow[and-cuda]', of the release that is installed"
        return Finding("GPU", WARNING, f"there is an NVIDIA driver, but TensorFlow sees no GPU: {way_out}")
    return Finding("GPU", OK, "none; networks are trained on the cores")


def check_weights(backbone: BackboneConfig) -> Finding:
    """Whether the backbone's weights are here, or can be downloaded."""
    from pipelines.execution.preflight import catalogued

    if backbone.name is None:
        return Finding("weights", OK, f"of {backbone.model}")
    try:
        _, weights = catalogued(backbone, download=False)
    except CompressorError as error:
        return Finding("weights", PROBLEM, str(error))
    return Finding("weights", OK, f"{weights} ({backbone.name})")
