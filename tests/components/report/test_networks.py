from __future__ import annotations

import keras
import pytest

from components.report.networks import SearchedNetworks
from compressor_lib.networks.heads import attach_head


@pytest.fixture(scope="module")
def reference(small_backbone) -> keras.Model:
    return attach_head(small_backbone(), 3)


@pytest.fixture(scope="module")
def networks(reference) -> SearchedNetworks:
    return SearchedNetworks(reference, [{"name": "MobileNet", "alpha": 0.25, "weights": "gone.h5"}])


def test_a_backbone_of_the_references_name_is_the_references(reference, networks):
    assert networks.whole("small", 32) is reference
    at_48 = networks.base("small", 48)
    assert at_48.input_shape == (None, 48, 48, 3)
    assert [layer.name for layer in at_48.layers] == [layer.name for layer in networks.base("small", 32).layers]
    assert networks.whole("small", 48).output_shape == (None, 3)


def test_a_further_backbone_is_built_without_its_weights(networks):
    base = networks.base("MobileNet 0.25", 64)
    assert base.input_shape == (None, 64, 64, 3)
    assert base.get_layer("conv_pw_13").output.shape[-1] == 256
    assert networks.base("MobileNet 0.25", 64) is base
