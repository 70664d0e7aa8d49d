"""The order of the classes. The index of a class never changes, even when the data does.

Classes are sorted by name. Once a model has been pushed, its classes keep their indices and new classes are appended.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_DIGITS = re.compile("([0-9]+)")


def natural_order(names: Iterable[str]) -> list[str]:
    """Sorts class names as a person would: digits compare as numbers; case and accents break ties.

    The order depends only on the names, not on the locale or the order of the arguments.

    Args:
        names: Class names in Unicode NFC. Duplicates are removed.

    Returns:
        The sorted names.

    Example:
        >>> natural_order(["class10", "Class2", "class1"])
        ['class1', 'Class2', 'class10']
    """
    return sorted(set(names), key=_key)


def with_new_classes(known: Iterable[str], names: Iterable[str]) -> list[str]:
    """Appends new class names to a known order.

    Args:
        known: Class names whose indices must not change, in order.
        names: Class names, in any order. Known names are skipped.

    Returns:
        The known names in their order, then the new names in natural order.

    Example:
        >>> with_new_classes(["fist", "finger"], ["palm", "finger", "aardvark"])
        ['fist', 'finger', 'aardvark', 'palm']
    """
    kept = list(dict.fromkeys(known))
    return kept + natural_order(set(names) - set(kept))


def _key(name: str) -> tuple[list[str | tuple[int, str]], str]:
    # Splitting by a group alternates text and digits, so that text is only compared with text.
    parts: list[str | tuple[int, str]] = list(_DIGITS.split(_plain(name)))
    for place in range(1, len(parts), 2):
        digits = str(parts[place]).lstrip("0")
        parts[place] = len(digits), digits
    return parts, name


def _plain(name: str) -> str:
    """Returns a name without case and accents."""
    decomposed = unicodedata.normalize("NFD", name.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
