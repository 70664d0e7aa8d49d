"""Measured figures in words, the same on every page, card and screen.

Intervals are always shown; a difference whose interval holds "none" is said to be none.
"""

from __future__ import annotations

import math

from compressor_lib.deployment.intervals import format_change
from compressor_lib.deployment.model_metrics import Latency, Speedup
from compressor_lib.gate import Figure, Judged

NO_DIFFERENCE = "no difference measured"


def percent(share: float) -> str:
    """A share of 1, such as ``98.3 %``."""
    return f"{100 * share:.1f} %"


def interval(figure: Figure) -> str:
    """Both ends of an accuracy, such as ``91.1 to 99.7 %``."""
    return f"{100 * figure.low:.1f} to {100 * figure.high:.1f} %"


def counted(judged: Judged) -> str:
    """What an accuracy was measured on, and its interval, such as ``59 of 60, 91.1 to 99.7 %``."""
    return f"{judged.right:,} of {judged.pictures:,}, {interval(judged.accuracy)}"


def accuracy(judged: Judged) -> str:
    """An accuracy with its count and interval, such as ``98.3 % (59 of 60, 91.1 to 99.7 %)``."""
    return f"{percent(judged.accuracy.value)} ({counted(judged)})" if judged.pictures else "not measured (0 images)"


def is_difference(change: Figure) -> bool:
    """Whether a change of accuracy was measured: its interval lies on one side of 0."""
    return not change.low <= 0 <= change.high


def points(change: Figure) -> str:
    """A change of accuracy with its interval, such as ``-1.7 points (-8.9 to +4.5)``."""
    return format_change(change.value, change.low, change.high)


def compared(change: Figure) -> str:
    """Likewise, and whether that is a difference at all."""
    return points(change) if is_difference(change) else f"{points(change)}, {NO_DIFFERENCE}"


def milliseconds(latency: Latency) -> str:
    """A median latency with its spread, such as ``2.15 ms (2.10 to 2.24)`` or ``0.0704 ms (0.0698 to 0.0711)``."""
    digits = 2 if latency.median >= 1 else 2 - math.floor(math.log10(max(latency.median, 1e-4)))
    return f"{latency.median:.{digits}f} ms ({latency.low:.{digits}f} to {latency.high:.{digits}f})"


def speed(speedup: Speedup) -> str:
    """How fast a model is against the reference model, such as ``1.9 times as fast (1.7 to 2.1)``."""
    if not speedup.is_measurable:
        return NO_DIFFERENCE
    if speedup.ratio >= 1:
        return f"{speedup.ratio:.1f} times as fast ({speedup.low:.1f} to {speedup.high:.1f})"
    return f"takes {1 / speedup.ratio:.1f} times as long ({1 / speedup.high:.1f} to {1 / speedup.low:.1f})"
