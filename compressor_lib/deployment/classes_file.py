"""The file with a model's class names, one per line, in UTF-8 and in the order of the model's probabilities."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from compressor_lib.errors import CompressorError

CLASSES_FILE = "classes.txt"


def parse_classes(content: bytes, path: str | Path) -> list[str]:
    """Returns the class names in the content of a file.

    Args:
        content: The file's content.
        path: Path of the file, for the error message.

    Raises:
        CompressorError: If the bytes are not UTF-8.
    """
    try:
        return content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise CompressorError(f"{str(path)!r}, which names the classes, is not UTF-8 text: export it again.") from error


def format_classes(names: Iterable[str]) -> bytes:
    """Returns the content of a file with these class names, which :func:`parse_classes` reads."""
    return "".join(f"{name}\n" for name in names).encode()


def read_classes_file(path: str | Path) -> list[str]:
    """Reads the class names from a local file.

    Raises:
        CompressorError: If the file is missing or not UTF-8.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise CompressorError(f"{path} is missing: give the folder of an exported model.") from None
    return parse_classes(content, path)
