from __future__ import annotations

import keras
import numpy as np
import pytest

from compressor_lib.networks.heads import attach_head


def head_of(model: keras.Model, backbone: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers[len(backbone.layers) :]]


@pytest.mark.parametrize(
    ("units", "dropout", "names"),
    [
        (0, 0.0, ["top_gap", "classifier"]),
        (4, 0.0, ["top_gap", "top_fc1", "classifier"]),
        (0, 0.2, ["top_gap", "top_dropout", "classifier"]),
        (4, 0.2, ["top_gap", "top_dropout", "top_fc1", "classifier"]),
    ],
)
def test_layers_of_the_head(residual, units, dropout, names):
    model = attach_head(residual, 5, units=units, dropout=dropout, name="mine")
    assert head_of(model, residual) == names
    assert model.name == "mine"
    assert model.output_shape == (None, 5)
    width = units or 10
    parameters = (10 + 1) * units + (width + 1) * 5
    assert model.count_params() == residual.count_params() + parameters


def test_the_model_is_flat_and_shares_the_backbones_layers(residual):
    model = attach_head(residual, 2)
    assert model.layers[: len(residual.layers)] == residual.layers


def test_predictions_match_the_published_formula(residual, pixels):
    model = attach_head(residual, 3, units=4)
    x = pixels(4, 16) / 127.5 - 1
    kernel, bias = model.get_layer("top_fc1").get_weights()
    last_kernel, last_bias = model.get_layer("classifier").get_weights()
    hidden = residual(x).numpy().mean((1, 2)) @ kernel + bias  # linear, no activation
    logits = hidden @ last_kernel + last_bias
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-6)
