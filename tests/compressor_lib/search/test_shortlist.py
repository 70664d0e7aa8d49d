from __future__ import annotations

import numpy as np
import pytest

from compressor_lib.cuts.connections import Connection
from compressor_lib.search.shortlist import (
    MOST_EXAMPLES,
    expected_accuracies,
    linear_probe,
    most_promising,
    pooled,
    some_examples,
)


@pytest.fixture
def blobs():
    """Three classes around three corners, and two channels that say nothing, one of them constant."""

    def make(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        classes = rng.integers(0, 3, count)
        corners = np.eye(3)[classes] * 5 + rng.normal(0, 0.1, (count, 3))
        return np.hstack([corners, rng.normal(0, 100, (count, 1)), np.full((count, 1), 7.0)]), classes

    return make


def test_a_probe_tells_classes_apart_where_features_do(blobs):
    assert linear_probe(blobs(60, 0), blobs(40, 1), 3) == 1


def test_a_probe_on_noise_is_near_chance(blobs):
    rng = np.random.default_rng(0)
    parts = [(rng.normal(size=features.shape), classes) for features, classes in (blobs(600, 0), blobs(600, 1))]
    assert 0.25 < linear_probe(*parts, 3) < 0.42


def test_a_class_without_examples_is_no_obstacle(blobs):
    features, classes = blobs(60, 0)
    seen = classes != 2
    assert linear_probe((features[seen], classes[seen]), blobs(40, 1), 3) < 1


@pytest.mark.parametrize(("r2", "expected"), [(None, 0.5), (0.0, 0.5), (0.5, 0.7), (1.0, 0.9), (-3.0, 0.5)])
def test_a_translator_adds_as_much_as_it_explains_of_what_lies_behind(r2, expected):
    shallow, deepest = Connection.rejoin("a", "z"), Connection.head("y")
    fits = {} if r2 is None else {shallow: r2}
    assert expected_accuracies({shallow: 0.5, deepest: 0.9}, fits) == pytest.approx({shallow: expected, deepest: 0.9})


def test_every_family_keeps_its_share_of_the_most_promising():
    rejoining = {Connection.rejoin("abcdef"[i], "z"): score for i, score in enumerate([0.1, 0.6, 0.2, 0.5, 0.3, 0.4])}
    truncations = {Connection.head("abc"[i]): 9 + i for i in range(3)}
    tails = {Connection.tail("a"): -1.0}
    kept = most_promising({**rejoining, **truncations, **tails}, 5)
    assert list(map(str, kept)) == ["b->z", "d->z", "f->z", "c->head", "a->tail"]


@pytest.mark.parametrize("shape", [(6, 4), (6, 2, 3, 4)])
def test_features_are_averaged_over_their_positions(shape):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float16)
    chosen = pooled(values, np.array([1, 5]))
    expected = values[[1, 5]].astype(np.float64).reshape(2, -1, 4).mean(axis=1)
    assert chosen.dtype == np.float64
    np.testing.assert_allclose(chosen, expected)


def test_a_probe_looks_at_a_bounded_number_of_examples():
    assert some_examples(5).tolist() == [0, 1, 2, 3, 4]
    many = some_examples(3 * MOST_EXAMPLES)
    assert len(set(many)) == MOST_EXAMPLES
    assert many.tolist() == sorted(many)
    assert many.max() > 2 * MOST_EXAMPLES
