"""The name of a class, however its folder, its label or a list writes it."""

from __future__ import annotations

import unicodedata

from compressor_lib.errors import CompressorError

_NOT_IN_A_LINE = ("Cc", "Zl", "Zp")  # control characters, ends of lines and of paragraphs


def class_label(name: str) -> str:
    r"""Returns the name of a class in its one form.

    Whitespace around it goes, such as the carriage return of a list written on Windows. What looks the same is the
    same: macOS writes "é" as two characters (NFD), others as one (NFC, which is returned).

    Args:
        name: As a folder, a label or a list has it.

    Returns:
        The name, fit for a line of ``classes.txt``.

    Raises:
        CompressorError: Nothing is left of it, or it holds characters that no line can hold.

    Example:
        >>> class_label("cat\r")
        'cat'
    """
    label = unicodedata.normalize("NFC", name.strip())
    if not label:
        raise CompressorError(f"the class name {name!r} is empty: give it a name.")
    if any("\udc80" <= character <= "\udcff" for character in label):  # bytes that could not be decoded, see PEP 383
        shown = label.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise CompressorError(f"the class name '{shown}' is not UTF-8: rename it.")
    if any(unicodedata.category(character) in _NOT_IN_A_LINE for character in label):
        raise CompressorError(f"the class name {name!a} holds control characters: rename it.")
    return label
