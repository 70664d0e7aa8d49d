"""Errors that a user can fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class CompressorError(ValueError):
    """A mistake in the input, described in one message that names the cause and the fix.

    Attributes:
        argument: Name in this library of the argument to change, if there is one. Callers that use another name for
            it, such as a configuration field, put that name in front of the message.
    """

    def __init__(self, message: str = "", *, argument: str | None = None) -> None:
        super().__init__(message)
        self.argument = argument


def unknown(kind: str, value: object, known: Iterable[str]) -> CompressorError:
    """Returns an error for an unknown name that suggests the most similar known one.

    Args:
        kind: Kind of thing that the name refers to, such as ``"backbone"``.
        value: The unknown name.
        known: All known names.

    Returns:
        The error, for the caller to raise.

    Example:
        >>> str(unknown("backbone", "MobilNetV2", ["MobileNetV2", "MobileNet"]))
        "unknown backbone 'MobilNetV2'. Did you mean 'MobileNetV2'? Known: MobileNet, MobileNetV2."
    """
    names = sorted(known)
    if not names:
        return CompressorError(f"unknown {kind} {str(value)!r}. There are none.")
    meant = nearest(str(value), names)
    hint = f" Did you mean {meant!r}?" if meant else ""
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else ".")
    return CompressorError(f"unknown {kind} {str(value)!r}.{hint} Known: {shown}")


def nearest(value: str, known: Iterable[str]) -> str | None:
    """Returns the known name that is most similar to a name, ignoring case.

    Args:
        value: The unknown name.
        known: All known names.

    Returns:
        The most similar name, or None if none is similar.
    """
    by_lower_case = {name.lower(): name for name in known}
    found = difflib.get_close_matches(value.lower(), by_lower_case, n=1)
    return by_lower_case[found[0]] if found else None


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, without its full stop, or the name of its type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def did_you_mean(path: Path) -> str:
    """Returns a question that suggests the name most similar to a missing path, or an empty string if none is."""
    meant = nearest(path.name, [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else [])
    return f" Did you mean {str(path.with_name(meant))!r}?" if meant else ""
