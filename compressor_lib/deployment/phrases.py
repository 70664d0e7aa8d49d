"""Measured figures in words, the same on every page, card and screen.

Intervals are always shown; a difference whose interval holds "none" is said to be none. Each figure is had as one
phrase, ``98.3 % (59 of 60, 91.1 to 99.7 %)``, or in its parts, for the lines of a narrow cell.
"""

from __future__ import annotations

import math

from compressor_lib.deployment.intervals import Interval
from compressor_lib.deployment.judged import Judged
from compressor_lib.deployment.model_metrics import Latency, Speedup

NO_DIFFERENCE = "no difference measured"
NOT_COMPARED = "not compared"
NOT_CONVERTED = "not converted"

Parts = tuple[str, ...]
"""A figure, then what it was measured on and its interval."""


def percent(share: float, *, decimals: int | None = 1, signed: bool = False) -> str:
    """Formats a share of 1 as every message, page and screen shows it, such as ``98.3 %``.

    Args:
        share: The share.
        decimals: Digits behind the point; None: as many as were given, four in all at most, such as ``95 %``.
        signed: Whether it is a change, such as ``+3.0 %``.
    """
    digits = ".4g" if decimals is None else f".{decimals}f"
    return f"{100 * share:{'+' if signed else ''}{digits}} %"


def interval(figure: Interval) -> str:
    """Both ends of an accuracy, such as ``91.1 to 99.7 %``."""
    return f"{100 * figure.low:.1f} to {100 * figure.high:.1f} %"


def counted(judged: Judged) -> str:
    """What an accuracy was measured on, and its interval, such as ``59 of 60, 91.1 to 99.7 %``."""
    return ", ".join(accuracy_parts(judged)[1:])


def accuracy(judged: Judged) -> str:
    """An accuracy with its count and interval, such as ``98.3 % (59 of 60, 91.1 to 99.7 %)``."""
    return _phrase(accuracy_parts(judged))


def accuracy_parts(judged: Judged) -> Parts:
    """The same as ``98.3 %``, ``59 of 60`` and ``91.1 to 99.7 %``; of no images, one part that says so."""
    if not judged.images:
        return ("not measured (0 images)",)
    return (
        percent(judged.accuracy.value),
        f"{judged.right:,} of {judged.images:,}",
        interval(judged.accuracy),
    )


def is_difference(change: Interval) -> bool:
    """Whether a change of accuracy was measured: its interval lies on one side of 0."""
    return not change.low <= 0 <= change.high


def points(change: Interval) -> str:
    """A change of accuracy with its interval, such as ``-1.7 points (-8.9 to +4.5)``."""
    return _phrase(points_parts(change))


def points_parts(change: Interval) -> Parts:
    """The same as ``-1.7 points`` and ``-8.9 to +4.5``."""
    return f"{_points(change.value)} points", f"{_points(change.low)} to {_points(change.high)}"


def compared(change: Interval) -> str:
    """Likewise, and whether that is a difference at all."""
    return points(change) if is_difference(change) else f"{points(change)}, {NO_DIFFERENCE}"


def compared_parts(change: Interval) -> Parts:
    """The same in parts."""
    return points_parts(change) if is_difference(change) else (*points_parts(change), NO_DIFFERENCE)


def milliseconds(latency: Latency | None) -> str:
    """A median latency with its spread, such as ``2.15 ms (2.10 to 2.24)`` or ``0.0704 ms (0.0698 to 0.0711)``."""
    return _phrase(milliseconds_parts(latency))


def milliseconds_parts(latency: Latency | None) -> Parts:
    """The same as ``2.15 ms`` and ``2.10 to 2.24``; one part where there is no TFLite model that was timed."""
    if latency is None:
        return (NOT_CONVERTED,)
    digits = 2 if latency.median >= 1 else 2 - math.floor(math.log10(max(latency.median, 1e-4)))
    return f"{latency.median:.{digits}f} ms", f"{latency.low:.{digits}f} to {latency.high:.{digits}f}"


def size(count: int | None) -> str:
    """Bytes of a TFLite model, such as ``1,000,000``."""
    return NOT_CONVERTED if count is None else f"{count:,}"


def speed(speedup: Speedup | None) -> str:
    """How fast a model is against the reference model, such as ``1.9 times as fast (1.7 to 2.1)``."""
    return _phrase(speed_parts(speedup))


def speed_parts(speedup: Speedup | None) -> Parts:
    """The same as ``1.9 times as fast`` and ``1.7 to 2.1``; one part where no difference was measured."""
    if speedup is None:
        return (NOT_COMPARED,)
    if not speedup.is_measurable:
        return (NO_DIFFERENCE,)
    if speedup.ratio >= 1:
        return f"{speedup.ratio:.1f} times as fast", f"{speedup.low:.1f} to {speedup.high:.1f}"
    return f"takes {1 / speedup.ratio:.1f} times as long", f"{1 / speedup.high:.1f} to {1 / speedup.low:.1f}"


def _phrase(parts: Parts) -> str:
    figure, *behind = parts
    return f"{figure} ({', '.join(behind)})" if behind else figure


def _points(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:+.1f}"  # adding 0 makes -0.0 positive
