"""The canonical form of a class name, whether it comes from a folder, a label or a list."""

from __future__ import annotations

import unicodedata

from compressor_lib.errors import CompressorError

_NOT_IN_A_LINE = ("Cc", "Zl", "Zp")  # control characters, line and paragraph separators


def class_label(name: str) -> str:
    r"""Returns the canonical form of a class name.

    Surrounding whitespace is removed, such as the carriage returns of a list written on Windows. Names that look the
    same become equal: macOS writes "é" as two characters (NFD), other systems as one (NFC). The result is NFC.

    Args:
        name: As written in a folder, a label or a list.

    Returns:
        The name, which fits on one line of ``classes.txt``.

    Raises:
        CompressorError: If the name is empty, is not UTF-8, or holds control characters.

    Example:
        >>> class_label("cat\r")
        'cat'
    """
    label = unicodedata.normalize("NFC", name.strip())
    if not label:
        raise CompressorError(f"the class name {name!r} is empty: give it a name.")
    if any("\udc80" <= character <= "\udcff" for character in label):  # undecodable bytes, see PEP 383
        shown = label.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise CompressorError(f"the class name '{shown}' is not UTF-8: rename it.")
    if any(unicodedata.category(character) in _NOT_IN_A_LINE for character in label):
        raise CompressorError(f"the class name {name!a} holds control characters: rename it.")
    return label
