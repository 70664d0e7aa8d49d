"""Whether the folders of a configuration lie apart: what reads one must not meet what another is written to."""

from __future__ import annotations

import os


def check_output_apart(data: str, output: str) -> None:
    """Refuses an output folder in the data folder, and the other way round.

    Args:
        data: The data folder.
        output: The output folder.

    Raises:
        ValueError: One is in the other; the sentence goes on after the name of the section ``data``.
    """
    if _holds(data, output):
        raise ValueError(
            f"path is {data!r}, and the output {output!r} lies in it, where folders are taken for classes and files "
            "for images: give another folder by --output."
        )
    if _holds(output, data):
        raise ValueError(
            f"path is {data!r}, which lies in the output {output!r}, and whoever deletes the output to begin anew "
            "would delete it: give another folder by --output."
        )


def check_push_apart(data: str, directory: str) -> None:
    """Refuses a push directory in the data folder.

    Args:
        data: The data folder.
        directory: The push directory.

    Raises:
        ValueError: It is; the sentence goes on after the name of the section ``push``.
    """
    if _holds(data, directory):
        raise ValueError(
            f"directory is {directory!r}, which lies in the data folder {data!r}, where folders are taken for classes: "
            "give another folder."
        )


def _holds(outer: str, inner: str) -> bool:
    """Whether a folder is another, or holds it, links resolved."""
    return os.path.join(_real(inner), "").startswith(os.path.join(_real(outer), ""))


def _real(path: str) -> str:
    return path.rstrip("/") if "://" in path else os.path.realpath(path)
