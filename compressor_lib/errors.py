"""Errors that a person can put right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class CompressorError(ValueError):
    """A mistake in the input, told in one sentence that names the thing and the way out.

    Attributes:
        argument: The argument to change, by its name in this library, where one is to blame: callers that know it by
            another name, such as a field of a configuration, put that in front.
    """

    def __init__(self, message: str = "", *, argument: str | None = None) -> None:
        super().__init__(message)
        self.argument = argument


def unknown(kind: str, value: object, known: Iterable[str]) -> CompressorError:
    """Builds the error for a name that is not one of ``known``, with the nearest right one.

    Args:
        kind: What the name is meant to name, such as ``"backbone"``.
        value: The name as given.
        known: Every name that is right.

    Returns:
        The error, to be raised by the caller.

    Example:
        >>> str(unknown("backbone", "MobilNetV2", ["MobileNetV2", "MobileNet"]))
        "unknown backbone 'MobilNetV2'. Did you mean 'MobileNetV2'? Known: MobileNet, MobileNetV2."
    """
    names = sorted(known)
    if not names:
        return CompressorError(f"unknown {kind} {str(value)!r}. There is none.")
    meant = nearest(str(value), names)
    hint = f" Did you mean {meant!r}?" if meant else ""
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else ".")
    return CompressorError(f"unknown {kind} {str(value)!r}.{hint} Known: {shown}")


def nearest(value: str, known: Iterable[str]) -> str | None:
    """Finds the name that was meant, whatever its letters' case.

    Args:
        value: The name as given.
        known: Every name that is right.

    Returns:
        The most similar one; None where none is.
    """
    by_small_letters = {name.lower(): name for name in known}
    found = difflib.get_close_matches(value.lower(), by_small_letters, n=1)
    return by_small_letters[found[0]] if found else None


def first_line(error: BaseException) -> str:
    """The first line of what an error says, without its full stop; its type's name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def did_you_mean(path: Path) -> str:
    """The name beside a missing path that is most like it, as a question; empty where there is none."""
    meant = nearest(path.name, [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else [])
    return f" Did you mean {str(path.with_name(meant))!r}?" if meant else ""
