"""The final check of a model's class order before it is pushed."""

from __future__ import annotations

import os
from collections.abc import Sequence

from components.artifacts.class_list import read_class_list
from components.artifacts.pushed_versions import versions
from components.artifacts.served_classes import Endpoint, served_models
from compressor_lib.deployment.export import EXTRA
from compressor_lib.errors import CompressorError


def check_class_order(model: str, push_directory: str, removed: Sequence[str]) -> None:
    """Raises an error if a model would change the index of a class that is already pushed.

    A run takes the order from the pushed model when it begins, but another run may have pushed since.

    Args:
        model: Folder of the model.
        push_directory: Directory to push to.
        removed: Classes that the user removes.

    Raises:
        CompressorError: If the order would change.
    """
    for version in reversed(versions(push_directory)):  # the newest with class names, as at the start of a run
        if pushed := read_class_list(os.path.join(push_directory, str(version), EXTRA)):
            _check(model, pushed, removed, f"version {version}")
            return


def check_endpoint_order(model: str, endpoint: Endpoint, removed: Sequence[str]) -> None:
    """Raises an error if a model would change the index of a class that an endpoint serves.

    Args:
        model: Folder of the model.
        endpoint: Endpoint to deploy to.
        removed: Classes that the user removes.

    Raises:
        CompressorError: If the order would change, or the endpoint's classes are unknown.
    """
    for served in served_models(endpoint)[:1]:
        _check(model, served.classes, removed, f"model {served.name!r}, which endpoint {endpoint.name!r} serves,")


def _check(model: str, pushed: Sequence[str], removed: Sequence[str], whose: str) -> None:
    expected = [name for name in dict.fromkeys(pushed) if name not in removed]
    classes = read_class_list(os.path.join(model, EXTRA))
    if classes[: len(expected)] != expected:
        raise CompressorError(
            f"the model's classes ({', '.join(classes)}) are in a different order from those of {whose} "
            f"({', '.join(pushed)}), so it is not pushed: applications would confuse the classes. Run again, on a "
            "platform with --no-cache, to train with the order of the pushed model."
        )
