"""The last look at a model's classes before it is pushed."""

from __future__ import annotations

import os
from collections.abc import Sequence

from components.artifacts.class_list import read_class_list
from components.artifacts.pushed_versions import newest_version
from compressor_lib.errors import CompressorError
from compressor_lib.export import EXTRA


def check_class_order(model: str, push_directory: str, removed: Sequence[str]) -> None:
    """Refuses a model that would change the place of a class that is pushed already.

    A run takes the order from the pushed model when it begins. Another run may have pushed since.

    Args:
        model: The model's folder.
        push_directory: Where it is to be pushed.
        removed: Classes that the user takes out.

    Raises:
        CompressorError: If it would.
    """
    version = newest_version(push_directory)
    pushed = read_class_list(os.path.join(push_directory, version, EXTRA)) if version else []
    expected = [name for name in dict.fromkeys(pushed) if name not in removed]
    classes = read_class_list(os.path.join(model, EXTRA))
    if classes[: len(expected)] != expected:
        raise CompressorError(
            f"the model's classes ({', '.join(classes)}) are in another order than those of version {version} "
            f"({', '.join(pushed)}), so it is not pushed: applications would mix them up. Run again, on a platform "
            "with --no-cache, to train with the order of the pushed model."
        )
