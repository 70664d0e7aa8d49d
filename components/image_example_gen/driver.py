"""The driver of file-based ExampleGens, with a fingerprint that covers only the images."""

from __future__ import annotations

from components.image_example_gen.dataset_layout import NamesInputProcessor
from components.storage import spans


class Driver(spans.Driver):
    """Finds the newest spans and computes the input's fingerprint, which includes the files' names.

    The stock fingerprint consists of sizes and times only. Moving an image to another class changes neither, so the
    outdated Examples would come from the cache.
    """

    PROCESSOR = NamesInputProcessor
