from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor_lib.errors import CompressorError
from compressor_lib.pretraining.regression import NormalEquations, Regression

WIDE, NARROW = Regression("x", "y"), Regression("x", "z")
OTHER = Regression("v", "y")
ALL = [WIDE, NARROW, OTHER]


def taps(images: int = 40, seed: int = 0, noise: float = 0.5) -> dict[str, np.ndarray]:
    """`y` and `z` depend on `x` linearly, up to noise; `v` says nothing about `y`."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99)
    x = rng.normal(3, 2, (images, 2, 2, 5))
    y = x @ mixing.normal(size=(5, 4)) + mixing.normal(size=4) + noise * rng.normal(size=(images, 2, 2, 4))
    z = x[..., :2] + 10
    v = rng.normal(size=(images, 2, 2, 3))
    return {name: value.astype(np.float32) for name, value in (("x", x), ("y", y), ("z", z), ("v", v))}


def sums_of(values: dict[str, np.ndarray], regressions: list[Regression] = ALL) -> NormalEquations:
    sums = NormalEquations()
    sums.add(values, regressions)
    return sums


def rows(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, values.shape[-1]).astype(np.float64)


def with_one(values: np.ndarray) -> np.ndarray:
    return np.hstack([rows(values), np.ones((len(rows(values)), 1))])


@pytest.mark.parametrize("regression", ALL, ids=lambda r: f"{r.source}->{r.target}")
def test_it_is_the_least_squares_solution(regression):
    values = taps()
    expected, *_ = np.linalg.lstsq(with_one(values[regression.source]), rows(values[regression.target]), rcond=None)
    solution = sums_of(values).solve(regression, ridge=0.0)
    np.testing.assert_allclose(solution, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 10.0])
def test_ridge_is_a_share_of_the_mean_variance_and_spares_the_bias(ridge):
    values = taps()
    x, y = rows(values["x"]), rows(values["y"])
    x0, y0 = x - x.mean(0), y - y.mean(0)
    # The same as plain least squares on data with rows of sqrt(penalty) added.
    penalty = ridge * x.var(0).mean() * len(x)
    kernel, *_ = np.linalg.lstsq(
        np.vstack([x0, np.sqrt(penalty) * np.eye(5)]), np.vstack([y0, np.zeros((5, 4))]), rcond=None
    )
    solution = sums_of(values).solve(WIDE, ridge)
    np.testing.assert_allclose(solution[:-1], kernel, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(solution[-1], y.mean(0) - x.mean(0) @ kernel, rtol=1e-8)


def test_large_ridge_shrinks_the_prediction_to_the_mean():
    values = taps()
    solution = sums_of(values).solve(WIDE, ridge=1e9)
    assert np.abs(solution[:-1]).max() < 1e-6
    np.testing.assert_allclose(solution[-1], rows(values["y"]).mean(0), rtol=1e-5)


def test_dependent_channels_are_solved_with_ridge():
    values = taps()
    values["x"] = np.concatenate([values["x"], values["x"], np.zeros_like(values["x"])], axis=-1)
    sums = sums_of(values, [WIDE])
    solution = sums.solve(WIDE, ridge=1e-6)
    assert np.isfinite(solution).all()
    assert sums.r2(WIDE, solution) == pytest.approx(sums_of(taps()).r2(WIDE, sums_of(taps()).solve(WIDE, 0)), abs=1e-4)


def test_dependent_channels_without_ridge_are_rejected():
    values = taps()
    values["x"] = np.concatenate([values["x"], np.zeros_like(values["x"])], axis=-1)
    with pytest.raises(CompressorError, match="channels of x are linearly dependent.*ridge above 0"):
        sums_of(values, [WIDE]).solve(WIDE, ridge=0.0)


def test_constant_channels_give_the_mean():
    values = taps()
    values["x"] = np.full_like(values["x"], 2.0)
    solution = sums_of(values, [WIDE]).solve(WIDE, ridge=1e-3)
    np.testing.assert_allclose(with_one(values["x"])[:1] @ solution, rows(values["y"]).mean(0)[None], rtol=1e-6)


@pytest.mark.parametrize("regression", ALL, ids=lambda r: f"{r.source}->{r.target}")
def test_r2_is_the_explained_share_on_other_images(regression):
    solution = sums_of(taps()).solve(regression, 1e-3)
    held_out = taps(20, seed=1)
    x, y = with_one(held_out[regression.source]), rows(held_out[regression.target])
    expected = 1 - np.square(y - x @ solution).sum() / np.square(y - y.mean(0)).sum()
    r2 = sums_of(held_out).r2(regression, solution)
    assert r2 == pytest.approx(expected, abs=1e-9)
    assert r2 <= 1
    assert {"y": 0.8 < r2 < 1, "z": r2 > 0.9999}[regression.target] or regression == OTHER
    if regression == OTHER:
        assert r2 < 0.05


def test_memory_does_not_grow_with_the_images():
    few, many = sums_of(taps(2)), sums_of(taps(200))
    assert {key: value.shape for key, value in few.gram.items()} == {"x": (6, 6), "v": (4, 4)}
    for mine, theirs in ((few.gram, many.gram), (few.cross, many.cross), (few.square, many.square)):
        assert {k: v.shape for k, v in mine.items()} == {k: v.shape for k, v in theirs.items()}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 39), max_size=5), st.randoms(use_true_random=False))
def test_any_sharding_gives_the_same_sums(cuts, shuffler):
    values = taps()
    whole = sums_of(values)
    edges = sorted({0, 40, *cuts})
    shards = [
        sums_of({name: value[start:end] for name, value in values.items()}) for start, end in itertools.pairwise(edges)
    ]
    shuffler.shuffle(shards)
    merged = NormalEquations()
    for shard in shards:
        merged = merged.merge(shard)
    for regression in ALL:
        solution = whole.solve(regression, 1e-3)
        np.testing.assert_allclose(merged.solve(regression, 1e-3), solution, rtol=1e-9, atol=1e-9)
        assert merged.r2(regression, solution) == pytest.approx(whole.r2(regression, solution), abs=1e-9)


def test_merging_does_not_change_the_other():
    values = taps()
    one, other = NormalEquations(), sums_of(values)
    before = {key: value.copy() for key, value in other.gram.items()}
    one.merge(other)
    one.merge(sums_of(values))
    one.add(values, ALL)
    for key, value in other.gram.items():
        np.testing.assert_array_equal(value, before[key])
    np.testing.assert_allclose(one.gram["x"], 3 * before["x"])
