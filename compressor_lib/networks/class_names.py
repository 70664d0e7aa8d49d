"""The one order of the classes: an output's index never changes, whatever the data of a week.

Classes are sorted by name. Once a model is pushed, its classes keep their places: new ones are appended.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_DIGITS = re.compile("([0-9]+)")


def natural_order(names: Iterable[str]) -> list[str]:
    """Sorts class names as a person would: digits are numbers, and case and accents decide last.

    The order depends on the names alone: on no locale, and not on the order in which they are given.

    Args:
        names: Class names, as Unicode NFC. A name given twice appears once.

    Returns:
        The names in order.

    Example:
        >>> natural_order(["class10", "Class2", "class1"])
        ['class1', 'Class2', 'class10']
    """
    return sorted(set(names), key=_key)


def with_new_classes(known: Iterable[str], names: Iterable[str]) -> list[str]:
    """Appends new class names to a known order.

    Args:
        known: Class names whose places must not change, in order.
        names: Class names, in any order; those that are known are passed over.

    Returns:
        The known names in their order, then the new ones in natural order.

    Example:
        >>> with_new_classes(["fist", "finger"], ["palm", "finger", "aardvark"])
        ['fist', 'finger', 'aardvark', 'palm']
    """
    kept = list(dict.fromkeys(known))
    return kept + natural_order(set(names) - set(kept))


def _key(name: str) -> tuple[list[str | tuple[int, str]], str]:
    # Splitting by a group gives text and digits in turn, so like is always compared with like.
    parts: list[str | tuple[int, str]] = list(_DIGITS.split(_plain(name)))
    for place in range(1, len(parts), 2):
        digits = str(parts[place]).lstrip("0")
        parts[place] = len(digits), digits
    return parts, name


def _plain(name: str) -> str:
    """A name without case and accents."""
    decomposed = unicodedata.normalize("NFD", name.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
