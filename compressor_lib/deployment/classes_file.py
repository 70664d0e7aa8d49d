"""The file that names a model's classes, one a line, in UTF-8 and in the order of its probabilities."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from compressor_lib.errors import CompressorError

CLASSES_FILE = "classes.txt"


def parse_classes(content: bytes, path: str | Path) -> list[str]:
    """Returns the names that a file holds.

    Args:
        content: The file's bytes, from wherever it is.
        path: Where that is, for the message.

    Raises:
        CompressorError: If the bytes are not UTF-8.
    """
    try:
        return content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise CompressorError(f"{str(path)!r}, which names the classes, is not UTF-8 text: export it again.") from error


def format_classes(names: Iterable[str]) -> bytes:
    """Returns a file's bytes with these names, as :func:`parse_classes` takes them."""
    return "".join(f"{name}\n" for name in names).encode()


def read_classes_file(path: str | Path) -> list[str]:
    """Reads the names in a file on this machine.

    Raises:
        CompressorError: If it is missing or not UTF-8.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise CompressorError(f"{path} is missing: give the folder of an exported model.") from None
    return parse_classes(content, path)
