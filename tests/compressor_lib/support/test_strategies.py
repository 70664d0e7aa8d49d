"""Searches under ``tf.distribute`` strategies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.features.cached_training import CachedTraining
from compressor_lib.networks.heads import attach_head
from compressor_lib.support.strategies import scope_of

CUT = Connection.rejoin("add_1", "last")


def assert_alike(found: dict, wanted: dict) -> None:
    """The same trials with the same scores, and the same weights of the best model."""
    assert [cut for _, cut in found["trials"]] == [cut for _, cut in wanted["trials"]]
    np.testing.assert_allclose(
        [score for score, _ in found["trials"]], [score for score, _ in wanted["trials"]], rtol=1e-5
    )
    for mine, theirs in zip(found["weights"], wanted["weights"], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    assert found["validation"] == pytest.approx(wanted["validation"])


@pytest.mark.slow
@pytest.mark.long
def test_a_search_under_a_strategy_finds_the_same_as_without():
    script = Path(__file__).parents[1] / "search_on_two_devices.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    results = json.loads(done.stdout.splitlines()[-1])
    assert results.pop("devices") == 2
    plain = results.pop("mirrored, plain")
    for kind in ("random", "grid", "bayesian", "hyperband"):
        alone = results.pop(f"{kind} none")
        strategies = [name for name in results if name.startswith(f"{kind} ")]
        assert strategies
        for name in strategies:
            assert_alike(results.pop(name), alone)
        if kind == "random":
            # Without cached features each device takes its share of a batch; batches are dealt in another order.
            assert [cut for _, cut in plain["trials"]] == [cut for _, cut in alone["trials"]]
            np.testing.assert_allclose(plain["validation"], alone["validation"], atol=0.2)
    assert results == {}


def classifier(residual):
    backbone = create_submodel(residual, CUT)
    backbone.trainable = False
    model = attach_head(backbone, 3)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_cached_training_declines_inside_a_strategy_scope(fresh_residual, labelled):
    x, y = labelled(16)
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        model = classifier(fresh_residual)
        assert CachedTraining(fresh_residual, [CUT]).fit(model, CUT, {"x": x, "y": y, "verbose": 0}) is None


def test_scope_of_enters_the_strategy_of_the_model(fresh_residual):
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    with strategy.scope():
        model = classifier(fresh_residual)
        with scope_of(model):
            assert tf.distribute.get_strategy() is strategy
    assert not tf.distribute.has_strategy()
    with scope_of(model):
        assert tf.distribute.get_strategy() is strategy
    with scope_of(classifier(fresh_residual)):
        assert not tf.distribute.has_strategy()
