"""Checks that the folders of a configuration do not overlap, so that no output is read as data."""

from __future__ import annotations

import os


def check_output_apart(data: str, output: str) -> None:
    """Refuses an output folder inside the data folder, and the reverse.

    Args:
        data: The data folder.
        output: The output folder.

    Raises:
        ValueError: If one is inside the other. The message continues after the section name ``data``.
    """
    if _holds(data, output):
        raise ValueError(
            f"path is {data!r}, and the output {output!r} is inside it, where folders are read as classes and files "
            "as images: choose another folder with --output."
        )
    if _holds(output, data):
        raise ValueError(
            f"path is {data!r}, which is inside the output {output!r}, so deleting the output would delete the data: "
            "choose another folder with --output."
        )


def check_push_apart(data: str, directory: str) -> None:
    """Refuses a push directory inside the data folder.

    Args:
        data: The data folder.
        directory: The push directory.

    Raises:
        ValueError: If it is inside. The message continues after the section name ``push``.
    """
    if _holds(data, directory):
        raise ValueError(
            f"directory is {directory!r}, which is inside the data folder {data!r}, where folders are read as classes: "
            "choose another folder."
        )


def _holds(outer: str, inner: str) -> bool:
    """Whether one folder is or contains another, with links resolved."""
    return os.path.join(_real(inner), "").startswith(os.path.join(_real(outer), ""))


def _real(path: str) -> str:
    return path.rstrip("/") if "://" in path else os.path.realpath(path)
