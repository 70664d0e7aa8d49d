from __future__ import annotations

import re

import keras
import pytest

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.families import searched_connections
from compressor_lib.cuts.lookup import check_connection, find_connection
from compressor_lib.errors import CompressorError
from compressor_lib.networks.backbones import BACKBONES
from compressor_lib.networks.graph import LayerGraph

# The published grids: index and name of each A, of each B, and the pairs that delete nothing.
GRIDS = {
    "MobileNet": (
        {3: "conv1_relu", 9: "conv_pw_1_relu", 16: "conv_pw_2_relu", 22: "conv_pw_3_relu"}
        | {29: "conv_pw_4_relu", 35: "conv_pw_5_relu", 42: "conv_pw_6_relu", 48: "conv_pw_7_relu"}
        | {54: "conv_pw_8_relu", 60: "conv_pw_9_relu", 66: "conv_pw_10_relu"}
        | {72: "conv_pw_11_relu"},
        {73: "conv_pad_12", 80: "conv_dw_13"},
        {(72, 73)},
    ),
    "MobileNetV2": (
        {8: "expanded_conv_project_BN", 17: "block_1_project_BN", 26: "block_2_add"}
        | {35: "block_3_project_BN", 44: "block_4_add", 53: "block_5_add"}
        | {62: "block_6_project_BN", 71: "block_7_add", 80: "block_8_add", 89: "block_9_add"}
        | {97: "block_10_project_BN", 106: "block_11_add", 115: "block_12_add"}
        | {124: "block_13_project_BN", 133: "block_14_add", 142: "block_15_add"},
        {143: "block_16_expand", 151: "Conv_1"},
        {(142, 143)},
    ),
    "EfficientNetB5": (
        {40: "block1c_add", 114: "block2e_add", 188: "block3e_add", 292: "block4g_add"} | {395: "block5g_add"},
        {396: "block6a_expand_conv", 530: "block7a_expand_conv"},
        {(395, 396)},
    ),
}
PAIRS = {
    name: {(i, j): f"{a}->{b}" for i, a in cuts.items() for j, b in rejoins.items() if (i, j) not in without}
    for name, (cuts, rejoins, without) in GRIDS.items()
}


@pytest.fixture(scope="module", params=[*list(GRIDS)[:2], pytest.param("EfficientNetB5", marks=pytest.mark.slow)])
def published(request, published_size) -> tuple[str, keras.Model]:
    """A backbone at its published size."""
    return request.param, published_size(request.param)


@pytest.fixture(scope="module")
def v2() -> keras.Model:
    return BACKBONES["MobileNetV2"].build(input_size=32, weights=None)


@pytest.mark.slow
def test_the_grid_is_the_published_one(published):
    name, base = published
    grid = [str(connection) for connection in searched_connections(base, name, "published")]
    assert len(grid) == {"MobileNet": 23, "MobileNetV2": 31, "EfficientNetB5": 9}[name]
    assert grid == list(PAIRS[name].values())


def test_indices_and_names_give_the_same_connection(published):
    name, base = published
    for (i, j), arrow in PAIRS[name].items():
        a, b = arrow.split("->")
        forms = (f"{i},{j}", f"{i}, {j}", (i, j), [str(i), j], arrow, f"{a},{b}", (a, b))
        for form in (*forms, f" {a} -> {b} ", Connection.rejoin(a, b), Connection.rejoin(str(i), str(j))):
            connection = find_connection(form, base)
            assert connection == Connection.rejoin(a, b)
            assert str(connection) == arrow


def test_truncations_are_written_with_head(published):
    name, base = published
    for i, a in GRIDS[name][0].items():
        for form in (f"{a}->head", f"{i}->head", f"{i},head", (i, None), (a, "head"), Connection.head(a)):
            connection = find_connection(form, base)
            assert connection == Connection.head(a)
            assert str(connection) == f"{a}->head"


@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV2"])
def test_indices_do_not_count_the_preprocess_layer(name):
    base = BACKBONES[name].build(input_size=32, weights=None, preprocess=True)
    for (i, j), arrow in PAIRS[name].items():
        assert str(find_connection(f"{i},{j}", base)) == arrow
    assert list(map(str, searched_connections(base, name, "published"))) == list(PAIRS[name].values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("block_5_ad->Conv_1", "unknown layer 'block_5_ad'. Did you mean 'block_5_add'?"),
        ("block_5_add->Conv_11", "unknown layer 'Conv_11'. Did you mean 'Conv_1'?"),
        ("block_5_add->", "'block_5_add->' is neither"),
        (
            "block_5_expand->Conv_1",
            "would cut off a skip branch: 'block_4_add' feeds 'block_5_add' around 'block_5_expand'",
        ),
        ("block_5_add->block_15_depthwise", "'block_14_add' feeds 'block_15_add' around 'block_15_expand_relu'"),
        ("block_5_expand->head", "would cut off a skip branch"),
        ("Conv_1->block_16_expand", "runs backwards: 'block_16_expand' does not come after"),
        ("Conv_1->Conv_1", "runs backwards"),
        ("block_2_add->block_15_add", "'block_15_add' takes 2 tensors, but a translator outputs one"),
        ("53,154", "layer index 154 is outside 0..153"),
        ((-1, 151), "layer index -1 is outside 0..153"),
        ("\u00b2,151", "unknown layer '\u00b2'"),
        ("block_5_add", "connection 'block_5_add' is neither 'A->B' with two layer names"),
    ],
)
def test_an_impossible_connection_is_refused_with_the_reason(v2, text, message):
    with pytest.raises(CompressorError, match=re.escape(message)):
        find_connection(text, v2)


def test_a_connection_that_names_no_layer_of_the_graph_is_refused(residual):
    with pytest.raises(CompressorError, match="unknown layer 'ad_1'. Did you mean 'add_1'"):
        check_connection(Connection.head("ad_1"), LayerGraph.of(residual))


def test_a_tail_is_written_and_checked_like_a_truncation(v2):
    tail = find_connection("block_5_add->tail", v2)
    assert (tail, str(tail)) == (Connection.tail("block_5_add"), "block_5_add->tail")
    with pytest.raises(CompressorError, match="cut off a skip branch"):
        find_connection("block_5_expand->tail", v2)
