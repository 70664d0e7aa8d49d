"""Confidence intervals of a measured accuracy or of the difference of two accuracies.

Test splits are small, so these are intervals that hold for small counts: Wilson's score interval for a share (Wilson,
J. Am. Stat. Assoc. 22, 1927; recommended by Brown, Cai and DasGupta, Statist. Sci. 16, 2001), and Tango's score
interval for the difference of two models on the same images (Tango, Statist. Med. 17, 1998; recommended by Fagerland,
Lydersen and Laake, Statist. Med. 33, 2014).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
"""Default confidence of the intervals that are shown."""

_BISECTIONS = 60
"""This many bisections reduce an interval of length 2 below the precision of a float."""


@dataclass(frozen=True)
class Interval:
    """A measured share or difference, with its two-sided confidence interval.

    Attributes:
        value: The measured value.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedCounts:
    """The numbers of images that two models classify correctly, counted in pairs.

    Attributes:
        both: Number of images that both models classify correctly.
        gained: Number of images that only the new model classifies correctly.
        lost: Number of images that only the old model classifies correctly.
        neither: Number of images that neither model classifies correctly.
    """

    both: int
    gained: int
    lost: int
    neither: int

    @property
    def images(self) -> int:
        """Number of images compared."""
        return self.both + self.gained + self.lost + self.neither

    @property
    def new_right(self) -> int:
        """Number of images that the new model classifies correctly."""
        return self.both + self.gained

    @property
    def old_right(self) -> int:
        """Number of images that the old model classifies correctly."""
        return self.both + self.lost


def share_interval(right: int, total: int, confidence: float = CONFIDENCE) -> Interval:
    """Returns a measured share with Wilson's score interval.

    Args:
        right: Number of images that count towards the share.
        total: Number of all images.
        confidence: Confidence of the two-sided interval, between 0 and 1.

    Returns:
        The share, 0 to 1. Without images, NaN with the interval from 0 to 1.

    Raises:
        ValueError: If the counts do not form a share.

    Example:
        >>> share = share_interval(59, 60)
        >>> f"{share.low:.3f} to {share.high:.3f}"
        '0.911 to 0.997'
    """
    if not 0 <= right <= total:
        raise ValueError(f"{right} of {total} is not a share: give 0 <= right <= total.")
    if not total:
        return Interval(math.nan, 0.0, 1.0)
    z = _quantile(confidence)
    share, z_squared = right / total, z * z / total
    centre = share + z_squared / 2
    reach = math.sqrt(z_squared * (share * (1 - share) + z_squared / 4))
    low, high = (centre - reach) / (1 + z_squared), (centre + reach) / (1 + z_squared)
    return Interval(share, low if right else 0.0, 1.0 if right == total else high)


def paired_change(gained: int, lost: int, total: int, confidence: float = CONFIDENCE) -> Interval:
    """Returns the difference of two models' accuracies on the same images, with Tango's score interval.

    Images on which both models agree only count in ``total``. They make the interval narrower.

    Args:
        gained: Number of images that only the new model classifies correctly.
        lost: Number of images that only the old model classifies correctly.
        total: Number of all images.
        confidence: Confidence of the two-sided interval, between 0 and 1.

    Returns:
        The new model's accuracy minus the old model's. Without images, the interval is -1 to 1.

    Raises:
        ValueError: If the counts are inconsistent.

    Example:
        >>> paired_change(0, 1, 60).high > 0  # losing one image of sixty is not significant
        True
    """
    if min(gained, lost) < 0 or gained + lost > total:
        raise ValueError(
            f"{gained} gained and {lost} lost of {total} images: give counts that add up to at most {total}."
        )
    if not total:
        return Interval(0.0, -1.0, 1.0)
    value, z = (gained - lost) / total, _quantile(confidence)
    return Interval(
        value,
        low=-_upper_end(lost, gained, total, z),
        high=_upper_end(gained, lost, total, z),
    )


def _quantile(confidence: float) -> float:
    """Returns the quantile of the normal distribution for a two-sided interval."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _upper_end(gained: int, lost: int, total: int, z: float) -> float:
    """Returns the largest difference that the score test does not reject, by bisection."""
    low, high = (gained - lost) / total, 1.0
    if low == high:
        return high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _score(gained, lost, total, middle) > -z:
            low = middle
        else:
            high = middle
    return high


def _score(gained: int, lost: int, total: int, difference: float) -> float:
    """Returns Tango's score statistic, which decreases as the assumed difference increases."""
    # The most likely share of lost images, given the difference: the larger root of a quadratic equation.
    linear = (2 * total + lost - gained) * difference - gained - lost
    root = math.sqrt(linear * linear + 8 * total * lost * difference * (1 - difference))
    share = (root - linear) / (4 * total)
    variance = total * (2 * share + difference * (1 - difference))
    return (gained - lost - total * difference) / math.sqrt(variance)
