"""The last look at a model's classes before it is pushed."""

from __future__ import annotations

import os
from collections.abc import Sequence

from components.artifacts.class_list import read_class_list
from components.artifacts.pushed_versions import versions
from components.artifacts.served_classes import Endpoint, served_models
from compressor_lib.deployment.export import EXTRA
from compressor_lib.errors import CompressorError


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
    for version in reversed(versions(push_directory)):  # the newest that names its classes, as a run looks for it
        if pushed := read_class_list(os.path.join(push_directory, str(version), EXTRA)):
            _check(model, pushed, removed, f"version {version}")
            return


def check_endpoint_order(model: str, endpoint: Endpoint, removed: Sequence[str]) -> None:
    """Refuses a model that would change the place of a class that an endpoint serves.

    Args:
        model: The model's folder.
        endpoint: Where it is to be deployed.
        removed: Classes that the user takes out.

    Raises:
        CompressorError: If it would, or what the endpoint serves is unknown.
    """
    for served in served_models(endpoint)[:1]:
        _check(model, served.classes, removed, f"model {served.name!r}, which endpoint {endpoint.name!r} serves,")


def _check(model: str, pushed: Sequence[str], removed: Sequence[str], whose: str) -> None:
    expected = [name for name in dict.fromkeys(pushed) if name not in removed]
    classes = read_class_list(os.path.join(model, EXTRA))
    if classes[: len(expected)] != expected:
        raise CompressorError(
            f"the model's classes ({', '.join(classes)}) are in another order than those of {whose} "
            f"({', '.join(pushed)}), so it is not pushed: applications would mix them up. Run again, on a platform "
            "with --no-cache, to train with the order of the pushed model."
        )
