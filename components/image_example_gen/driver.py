"""The driver of file-based ExampleGens, with a fingerprint of the images alone."""

from __future__ import annotations

from components.image_example_gen.dataset_layout import NamesInputProcessor
from components.storage import spans


class Driver(spans.Driver):
    """Finds the newest spans and the input's fingerprint, which includes the files' names.

    The stock fingerprint is made of sizes and times alone. An image that is moved to another
    class changes neither, and the old Examples would be taken from the cache.
    """

    PROCESSOR = NamesInputProcessor
