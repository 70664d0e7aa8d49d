"""Options of nodes, which the configuration reads, too: so without TFX, which takes seconds to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from compressor_lib.deployment.precision import Precision
from compressor_lib.options import Options, option

Duplicates = Literal["one_split", "keep"]
OnAnomaly = Literal["warn", "stop"]


@dataclass(frozen=True)
class ImageOptions(Options):
    """Options of ImageExampleGen: which images are used.

    Attributes:
        max_bad_share: Maximum share of images that are unreadable or skipped for their format, place or name. A run
            with more of them is refused.
        max_pixels: Images with more pixels (in a GIF, in all frames together) are skipped as unreadable. Each pixel
            takes 3 bytes of memory, or 4 in a GIF.
        max_file_mb: Larger files, in MiB, are skipped as unreadable.
        follow_external_links: true: follow symbolic links that lead out of path, which lets anyone who can write to
            the folder have other files read; false: skip such images as unreadable.
        duplicates: one_split: images with the same pixels are put into one split: test if one of them is there,
            otherwise eval, otherwise train; keep: they stay where they are. They are always reported.

    Raises:
        CompressorError: If a value is out of range.
    """

    max_bad_share: float = option(0.05, ge=0, le=1)
    max_pixels: int = option(100_000_000, gt=0)
    max_file_mb: int = option(100, gt=0)
    follow_external_links: bool = False
    duplicates: Duplicates = "one_split"


@dataclass(frozen=True)
class AnomalyOptions(Options):
    """Options of ExampleValidator: which changes of the data are anomalies, and what follows from one.

    Attributes:
        max_drift: Maximum change in a class's share of the training images since the last run. A larger change is an
            anomaly, as is a class that appears or disappears.
        on_anomaly: warn: anomalies in the data are reported; stop: they end the run before anything is trained.

    Raises:
        CompressorError: If a value is out of range.
    """

    max_drift: float = option(0.1, ge=0, le=1)
    on_anomaly: OnAnomaly = "warn"


@dataclass(frozen=True)
class ExportOptions(Options):
    """Formats of a model besides the SavedModel, which is always written and pushed.

    Attributes:
        formats: TFLite formats of the compressed model; float32 is always included. Formats that cannot be converted to
            are skipped. int8 is calibrated on training images.
    """

    formats: tuple[Precision, ...] = ("float32",)
