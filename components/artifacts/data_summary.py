"""ExampleValidator's summary of the data, for reports."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


@dataclass
class DataSummary:
    """The content of :data:`components.artifacts.file_names.SUMMARY_FILE`.

    Attributes:
        images: Number of images by split and class; no classes if there are too many to list.
        imbalance: Ratio of training images in the largest class to those in the smallest class.
        previous_images: Number of training images in the previous run, by class.
        drift: Largest change of a class's share of the training images, 0..1; None without a previous run.
        new_classes: Classes that the previous run did not have.
        missing_classes: Classes that only the previous run had.
        anomalies: All anomalies, one sentence each.
        left_out: Number of images left out, by kind, such as ``".heic"``.
        others: Number of files that are not images, by suffix.
    """

    images: dict[str, dict[str, int]] = field(default_factory=dict)
    imbalance: float = 1.0
    previous_images: dict[str, int] = field(default_factory=dict)
    drift: float | None = None
    new_classes: list[str] = field(default_factory=list)
    missing_classes: list[str] = field(default_factory=list)
    anomalies: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> str:
        """Returns the summary as a JSON object."""
        return json.dumps(asdict(self), indent=2)
