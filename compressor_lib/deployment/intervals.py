"""How far a measured accuracy, or a difference of two, may be from the truth.

Counts of images are small, so the intervals are those that hold for small counts: Wilson's score interval for a share
(Wilson, J. Am. Stat. Assoc. 22, 1927; recommended by Brown, Cai and DasGupta, Statist. Sci. 16, 2001), Tango's score
interval for the difference of two models on the same images (Tango, Statist. Med. 17, 1998; recommended by Fagerland,
Lydersen and Laake, Statist. Med. 33, 2014).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
"""Of the intervals that are shown where no other is asked for."""

_BISECTIONS = 60
"""Halve an interval of 2 to less than what a float can tell apart."""


@dataclass(frozen=True)
class Interval:
    """A measured share or difference, with the ends of its two-sided confidence interval.

    Attributes:
        value: What was measured.
        low: The interval's lower end.
        high: Its upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedCounts:
    """How two models did on the same images.

    Attributes:
        both: Images that both predict right.
        gained: Images that the new model alone predicts right.
        lost: Images that the old model alone predicts right.
        neither: Images that neither predicts right.
    """

    both: int
    gained: int
    lost: int
    neither: int

    @property
    def images(self) -> int:
        """How many images were compared."""
        return self.both + self.gained + self.lost + self.neither

    @property
    def new_right(self) -> int:
        """How many the new model predicts right."""
        return self.both + self.gained

    @property
    def old_right(self) -> int:
        """How many the old model predicts right."""
        return self.both + self.lost


def share_interval(right: int, total: int, confidence: float = CONFIDENCE) -> Interval:
    """A measured share, with Wilson's score interval.

    Args:
        right: Images that count.
        total: All images.
        confidence: Of the two-sided interval, between 0 and 1.

    Returns:
        The share, 0 to 1; NaN, from 0 to 1, where there are no images.

    Raises:
        ValueError: If the counts are not those of a share.

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
    """The difference of two models' accuracies on the same images, with Tango's score interval.

    Images on which the two agree count in ``total`` alone: they make the interval narrower.

    Args:
        gained: Images that the new model alone predicts right.
        lost: Images that the old model alone predicts right.
        total: All images.
        confidence: Of the two-sided interval, between 0 and 1.

    Returns:
        The new model's accuracy minus the old one's; -1 to 1 where there are no images.

    Raises:
        ValueError: If the counts do not fit each other.

    Example:
        >>> paired_change(0, 1, 60).high > 0  # one image of sixty is no measured loss
        True
    """
    if min(gained, lost) < 0 or gained + lost > total:
        raise ValueError(f"{gained} gained and {lost} lost of {total} images: give counts whose sum is at most all.")
    if not total:
        return Interval(0.0, -1.0, 1.0)
    value, z = (gained - lost) / total, _quantile(confidence)
    return Interval(
        value,
        low=-_upper_end(lost, gained, total, z),
        high=_upper_end(gained, lost, total, z),
    )


def _quantile(confidence: float) -> float:
    """Of the normal distribution, for a two-sided interval."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _upper_end(gained: int, lost: int, total: int, z: float) -> float:
    """The greatest difference that the score test does not reject, by bisection."""
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
    """Tango's score statistic, which falls as the supposed difference grows."""
    # The likeliest share of lost images, given the difference: the larger root of a quadratic equation.
    linear = (2 * total + lost - gained) * difference - gained - lost
    root = math.sqrt(linear * linear + 8 * total * lost * difference * (1 - difference))
    share = (root - linear) / (4 * total)
    variance = total * (2 * share + difference * (1 - difference))
    return (gained - lost - total * difference) / math.sqrt(variance)
