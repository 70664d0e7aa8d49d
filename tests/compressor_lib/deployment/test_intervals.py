"""Intervals against published values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compressor_lib.deployment.intervals import paired_change, share_interval


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        # Newcombe, Statist. Med. 17, 857-872 (1998), Table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_shares_have_wilsons_interval(right, total, low, high):
    share, rest = share_interval(right, total), share_interval(total - right, total)
    assert share.value == right / total
    assert (share.low, share.high) == pytest.approx((low, high), abs=5e-5)
    assert (rest.low, rest.high) == pytest.approx((1 - high, 1 - low), abs=5e-5)


@pytest.mark.parametrize(
    ("gained", "lost", "total", "low", "high"),
    [
        # Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables (2017), chapter 8: airway
        # hyper-responsiveness (Bentur et al., 2009) and complete response (Cavo et al., 2012).
        (1, 7, 21, -0.517, -0.026),
        (6, 16, 161, -0.1240, -0.0054),
    ],
)
def test_differences_have_tangos_interval(gained, lost, total, low, high):
    change = paired_change(gained, lost, total)
    assert change.value == pytest.approx((gained - lost) / total)
    assert (change.low, change.high) == pytest.approx((low, high), abs=5e-4)
    other_way = paired_change(lost, gained, total)
    assert (other_way.low, other_way.high) == pytest.approx((-change.high, -change.low))


@pytest.mark.parametrize(("total", "confidence"), [(10, 0.95), (60, 0.95), (1000, 0.8)])
def test_interval_is_wide_for_few_images(total, confidence):
    """Where two models never differ, the score interval is z^2 / (n + z^2) either way."""
    change = paired_change(0, 0, total, confidence)
    z = {0.95: 1.959964, 0.8: 1.281552}[confidence]
    assert (change.low, change.high) == pytest.approx((-z * z / (total + z * z), z * z / (total + z * z)))


def test_losing_one_image_of_sixty_is_not_significant():
    assert paired_change(0, 1, 60).high > 0


@pytest.mark.parametrize(("gained", "lost", "total"), [(0, 0, 1), (0, 1, 1), (1, 0, 1), (0, 5, 5), (5, 0, 9)])
def test_intervals_contain_the_value_and_stay_in_range(gained, lost, total):
    change = paired_change(gained, lost, total)
    assert -1 <= change.low <= change.value <= change.high <= 1
    share = share_interval(gained, total)
    assert 0 <= share.low <= share.value <= share.high <= 1


def test_no_images_give_the_full_interval():
    share = share_interval(0, 0)
    assert math.isnan(share.value)
    assert (share.low, share.high) == (0.0, 1.0)
    change = paired_change(0, 0, 0)
    assert (change.value, change.low, change.high) == (0.0, -1.0, 1.0)


@pytest.mark.parametrize(("function", "counts"), [(share_interval, (3, 2)), (paired_change, (2, 2, 3))])
def test_inconsistent_counts_are_rejected(function, counts):
    with pytest.raises(ValueError, match="give"):
        function(*counts)


def test_coverage_matches_the_confidence():
    """By simulation: pairs of models that lose 3 points, compared on 200 images."""
    random = np.random.default_rng(0)
    tries = 4000
    counts = random.multinomial(200, [0.03, 0.06, 0.91], tries)
    missed = sum(paired_change(gained, lost, 200).low > -0.03 for gained, lost, _ in counts.tolist())
    assert abs(missed / tries - 0.025) < 3 * math.sqrt(0.025 * 0.975 / tries)
