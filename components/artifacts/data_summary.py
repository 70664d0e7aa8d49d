"""What ExampleValidator tells of the data, for reports."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

SUMMARY_FILE = "data.json"
"""Its name in the anomalies' folder."""


@dataclass
class DataSummary:
    """The content of :data:`SUMMARY_FILE`.

    Attributes:
        images: Number of images by split and class; of no classes where there are too many to name.
        imbalance: How many times as many training images the largest class has as the smallest.
        previous_images: Training images of the run before, by class.
        drift: Largest change of a class's share among the training images, 0..1; None without a run before.
        new_classes: Classes that run did not have.
        missing_classes: Classes that it had, and this one has not.
        anomalies: All that is out of order, a sentence each.
        left_out: Number of images that were left out, by kind, such as ``".heic"``.
        others: Number of files that are no images, by suffix.
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
        """All of it, as a JSON object."""
        return json.dumps(asdict(self), indent=2)
