from __future__ import annotations

import keras
import numpy as np
import pytest

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.networks.graph import LayerGraph
from compressor_lib.pretraining.taps import source_tap, tapped, target_tap

CONNECTIONS = [
    Connection.rejoin("stem_relu", "last"),
    Connection.rejoin("add_1", "last"),
    Connection.rejoin("stem_relu", "depthwise"),
    Connection.head("add_1"),
    Connection.head("last_relu"),
]


def intermediate(model: keras.Model, layer: str, x: np.ndarray) -> np.ndarray:
    return keras.Model(model.input, model.get_layer(layer).output)(x).numpy()


@pytest.fixture(scope="module")
def x(pixels) -> np.ndarray:
    return pixels(4, 16) / 127.5 - 1


def test_connections_share_equal_taps(residual):
    taps = tapped(residual, CONNECTIONS, targets=True).output
    sources = [source_tap(residual, connection) for connection in CONNECTIONS]
    assert len(set(sources)) == len(sources)
    assert source_tap(residual, Connection.rejoin("stem_relu", "conv_2")) == sources[0]  # same size, same tap
    targets = {target_tap(connection) for connection in CONNECTIONS if connection.rejoins}
    assert set(taps) == {*sources, *targets}
    assert set(tapped(residual, CONNECTIONS, targets=False).output) == set(sources)


def test_source_taps_are_the_input_of_the_translators_convolution(residual, x):
    taps = tapped(residual, CONNECTIONS, targets=False).predict_on_batch(x)
    for connection in CONNECTIONS[:3]:
        submodel = create_submodel(residual, connection)
        (into_conv,) = LayerGraph.of(submodel).producers["translator_conv"]
        wanted = intermediate(submodel, into_conv, x)
        np.testing.assert_allclose(taps[source_tap(residual, connection)], wanted, rtol=1e-5, atol=1e-6)


def test_target_taps_are_the_original_input_of_b(residual, x):
    taps = tapped(residual, CONNECTIONS, targets=True).predict_on_batch(x)
    for connection, producer in zip(CONNECTIONS, ["add_2", "add_2", "expand_relu"], strict=False):
        wanted = intermediate(residual, producer, x)
        np.testing.assert_allclose(taps[target_tap(connection)], wanted, rtol=1e-5, atol=1e-6)


def test_a_truncations_tap_is_the_mean_over_the_positions(residual, x):
    taps = tapped(residual, CONNECTIONS, targets=False).predict_on_batch(x)
    for connection in CONNECTIONS[3:]:
        wanted = intermediate(residual, connection.a, x).mean((1, 2))
        np.testing.assert_allclose(taps[source_tap(residual, connection)], wanted, rtol=1e-5, atol=1e-6)


def test_the_pass_stops_at_the_deepest_tap(residual):
    model = tapped(residual, [Connection.rejoin("stem_relu", "last")], targets=False)
    assert "expand" not in [layer.name for layer in model.layers]
    model = tapped(residual, [Connection.rejoin("stem_relu", "last")], targets=True)
    assert "last" not in [layer.name for layer in model.layers]


def test_backbone_does_not_change(residual):
    model = tapped(residual, CONNECTIONS, targets=True)
    assert not any(layer in residual.layers for layer in model.layers)


def test_output_of_an_operation_can_be_tapped(pixels):
    layers = keras.layers
    images = keras.Input((8, 8, 3))
    a = layers.Conv2D(4, 3, padding="same", name="a")(images)
    b = layers.Conv2D(4, 3, padding="same", name="b")(a)
    base = keras.Model(images, layers.Conv2D(5, 3, name="c")(a + b))
    x, connection = pixels(2, 8), Connection.rejoin("a", "c")
    taps = tapped(base, [connection], targets=True).predict_on_batch(x)
    wanted = intermediate(base, "a", x) + intermediate(base, "b", x)
    np.testing.assert_allclose(taps[target_tap(connection)], wanted, rtol=1e-4, atol=1e-3)
