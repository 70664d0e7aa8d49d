"""Formats measured figures, in the same way on every page, model card and screen.

Intervals are always shown. A difference whose interval contains zero is called no difference. Each figure is available
as one phrase, ``98.3 % (59 of 60, 91.1 to 99.7 %)``, or in parts, for the lines of a narrow table cell.
"""

from __future__ import annotations

import math

from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.intervals import Interval
from compressor_lib.deployment.model_metrics import KIB, Latency, Speedup

NO_DIFFERENCE = "no difference measured"
NOT_COMPARED = "not compared"
NOT_CONVERTED = "not converted"

Parts = tuple[str, ...]
"""A figure, then its count and its interval."""


def percent(share: float, *, decimals: int | None = 1, signed: bool = False) -> str:
    """Formats a share of 1, such as ``98.3 %``.

    Args:
        share: The share.
        decimals: Number of decimals; None for as many as needed, with four significant digits, such as ``95 %``.
        signed: Whether to show the sign of a change, such as ``+3.0 %``.
    """
    digits = ".4g" if decimals is None else f".{decimals}f"
    return f"{100 * share:{'+' if signed else ''}{digits}} %"


def cut(connection: str, backbone: str | None = None, input_size: int | None = None) -> str:
    """Formats a connection and, where a search had a choice of them, its backbone and the size of its images.

    Example:
        >>> cut("block_5_add->head", "MobileNetV2 0.35", 96)
        'block_5_add->head of MobileNetV2 0.35, 96 px'
    """
    size = f"{input_size} px" if input_size else None
    network = ", ".join(filter(None, (backbone, size)))
    return f"{connection} of {network}" if network else connection


def interval(figure: Interval) -> str:
    """Formats the interval of an accuracy, such as ``91.1 to 99.7 %``."""
    return f"{100 * figure.low:.1f} to {100 * figure.high:.1f} %"


def counted(result: EvalResult) -> str:
    """Formats the count and interval of an accuracy, such as ``59 of 60, 91.1 to 99.7 %``."""
    return ", ".join(accuracy_parts(result)[1:])


def accuracy(result: EvalResult) -> str:
    """Formats an accuracy with its count and interval, such as ``98.3 % (59 of 60, 91.1 to 99.7 %)``."""
    return _phrase(accuracy_parts(result))


def accuracy_parts(result: EvalResult) -> Parts:
    """Returns the parts ``98.3 %``, ``59 of 60`` and ``91.1 to 99.7 %``, or one part if there are no images."""
    if not result.images:
        return ("not measured (0 images)",)
    return (
        percent(result.accuracy.value),
        f"{result.right:,} of {result.images:,}",
        interval(result.accuracy),
    )


def is_difference(change: Interval) -> bool:
    """Returns whether accuracies differ: the whole interval of the change is on one side of 0."""
    return not change.low <= 0 <= change.high


def points(change: Interval) -> str:
    """Formats a change of accuracy with its interval, such as ``-1.7 points (-8.9 to +4.5)``."""
    return _phrase(points_parts(change))


def points_parts(change: Interval) -> Parts:
    """Returns the parts ``-1.7 points`` and ``-8.9 to +4.5``."""
    return f"{_points(change.value)} points", f"{_points(change.low)} to {_points(change.high)}"


def compared(change: Interval) -> str:
    """Formats a change of accuracy with its interval, and says if there is no difference."""
    return points(change) if is_difference(change) else f"{points(change)}, {NO_DIFFERENCE}"


def compared_parts(change: Interval) -> Parts:
    """Returns the parts of :func:`compared`."""
    return points_parts(change) if is_difference(change) else (*points_parts(change), NO_DIFFERENCE)


def milliseconds(latency: Latency | None) -> str:
    """Formats a median latency and its interval: ``2.15 ms (2.10 to 2.24)`` or ``0.0704 ms (0.0698 to 0.0711)``."""
    return _phrase(milliseconds_parts(latency))


def milliseconds_parts(latency: Latency | None) -> Parts:
    """Returns the parts ``2.15 ms`` and ``2.10 to 2.24``, or one part if no TFLite model was timed."""
    if latency is None:
        return (NOT_CONVERTED,)
    digits = 2 if latency.median >= 1 else 2 - math.floor(math.log10(max(latency.median, 1e-4)))
    return f"{latency.median:.{digits}f} ms", f"{latency.low:.{digits}f} to {latency.high:.{digits}f}"


def size(count: int | None) -> str:
    """Formats the size of a TFLite model in bytes, such as ``1,000,000``."""
    return NOT_CONVERTED if count is None else f"{count:,}"


def memory(count: int | None) -> str:
    """Formats a number of bytes of memory in KiB, such as ``240 KiB``."""
    return NOT_CONVERTED if count is None else f"{count / KIB:,.0f} KiB"


def side(size: int | None) -> str:
    """Formats the height and width of a model's images, such as ``224 px``; empty if unknown."""
    return "" if size is None else f"{size} px"


def speed(speedup: Speedup | None) -> str:
    """Formats a speedup over the reference model, such as ``1.9 times as fast (1.7 to 2.1)``."""
    return _phrase(speed_parts(speedup))


def speed_parts(speedup: Speedup | None) -> Parts:
    """Returns the parts ``1.9 times as fast`` and ``1.7 to 2.1``, or one part if no difference was measured."""
    if speedup is None:
        return (NOT_COMPARED,)
    if not speedup.is_measurable:
        return (NO_DIFFERENCE,)
    if speedup.ratio >= 1:
        return f"{speedup.ratio:.1f} times as fast", f"{speedup.low:.1f} to {speedup.high:.1f}"
    return f"takes {1 / speedup.ratio:.1f} times as long", f"{1 / speedup.high:.1f} to {1 / speedup.low:.1f}"


def _phrase(parts: Parts) -> str:
    figure, *details = parts
    return f"{figure} ({', '.join(details)})" if details else figure


def _points(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:+.1f}"  # adding 0 makes -0.0 positive
