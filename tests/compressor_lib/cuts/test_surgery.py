from __future__ import annotations

import keras
import numpy as np
import pytest

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.surgery import create_submodel, extend_shared, without_head
from compressor_lib.errors import CompressorError
from compressor_lib.networks.backbones import BACKBONES
from compressor_lib.networks.graph import LayerGraph
from compressor_lib.networks.heads import attach_head
from compressor_lib.networks.weights import copy_weights

layers = keras.layers


def names(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers]


def translator_of(model: keras.Model) -> list[str]:
    return [name for name in names(model) if name.startswith("translator_")]


def assert_same_weights(one: keras.Model, other: keras.Model) -> None:
    """Layers of the same name hold the same."""
    shared = set(names(one)) & set(names(other))
    for name in shared:
        pairs = zip(one.get_layer(name).get_weights(), other.get_layer(name).get_weights(), strict=True)
        for mine, theirs in pairs:
            np.testing.assert_array_equal(mine, theirs)


def intermediate(model: keras.Model, layer: str, x: np.ndarray) -> np.ndarray:
    return keras.Model(model.input, model.get_layer(layer).output)(x).numpy()


@pytest.mark.parametrize(
    ("connection", "parameters"),
    [
        ("53,151", 484_288),
        ("97,151", 762_880),
        ("17,143", 904_672),
        # Truncation keeps what is in front of A: computed by hand from the published layers.
        ("8->head", 32 * 27 + 32 * 4 + 32 * 9 + 32 * 4 + 32 * 16 + 16 * 4),
    ],
)
def test_submodels_have_the_published_number_of_parameters(published_size, connection, parameters):
    base = published_size("MobileNetV2")
    assert base.count_params() == 2_257_984
    submodel = create_submodel(base, connection)
    assert submodel.count_params() == parameters
    truncated = connection.endswith("head")
    assert submodel.output_shape == ((None, 112, 112, 16) if truncated else base.output_shape)


@pytest.mark.parametrize("connection", ["add_1->last", "stem_relu->last", "stem->expand"])
def test_layers_between_a_and_b_are_replaced_by_the_translator(residual, connection):
    a, b = connection.split("->")
    submodel = create_submodel(residual, connection)
    order, graph = LayerGraph.of(residual).order, LayerGraph.of(residual)
    kept = graph.ancestors(a) | {name for name in names(residual) if order[name] >= order[b]}
    assert set(names(submodel)) - set(translator_of(submodel)) == kept
    assert_same_weights(residual, submodel)
    assert submodel.input_shape == residual.input_shape
    assert submodel.output_shape == residual.output_shape


def test_the_translator_has_only_the_layers_it_needs(residual):
    pool, conv, activation = "translator_pool", "translator_conv", "translator_activation"
    assert translator_of(create_submodel(residual, "add_1->last")) == [pool, conv]
    assert translator_of(create_submodel(residual, "stem->expand")) == [conv]
    relu = create_submodel(residual, "stem_relu->depthwise")
    assert translator_of(relu) == [conv, activation]
    assert relu.get_layer(activation).max_value == 6.0
    assert translator_of(create_submodel(residual, "stem_relu->head")) == []


def test_the_output_is_computed_by_a_then_the_translator_then_b(residual, pixels, agree):
    submodel = create_submodel(residual, "add_1->last")
    x = pixels(3, 16) / 127.5 - 1
    at_a = intermediate(residual, "add_1", x)  # 8 x 8
    pooled = at_a.reshape(3, 4, 2, 4, 2, 6).max((2, 4))
    kernel, bias = submodel.get_layer("translator_conv").get_weights()
    value = pooled @ kernel[0, 0] + bias
    for name in ("last", "last_bn", "last_relu"):
        value = residual.get_layer(name)(value)
    agree(submodel(x), value)


@pytest.mark.parametrize("connection", ["add_1->expand", "project->conv_2", "add_2->last"])
def test_an_identity_translator_directly_in_front_of_b_changes_nothing(residual, pixels, connection, agree):
    # A skip leads around conv_2; it takes what the translator gives, too.
    submodel = create_submodel(residual, connection)
    depth = submodel.get_layer("translator_conv").filters
    submodel.get_layer("translator_conv").set_weights([np.eye(depth)[None, None], np.zeros(depth)])
    x = pixels(3, 16) / 127.5 - 1
    agree(submodel(x), residual(x))


@pytest.mark.slow
@pytest.mark.parametrize("connection", ["block_15_add->block_16_expand", "Conv1_relu->expanded_conv_depthwise"])
def test_an_identity_translator_changes_nothing_in_mobilenet_v2(mobilenet_v2, pixels, connection, agree):
    submodel = create_submodel(mobilenet_v2, connection)
    depth = submodel.get_layer("translator_conv").filters
    submodel.get_layer("translator_conv").set_weights([np.eye(depth)[None, None], np.zeros(depth)])
    x = pixels(2)
    agree(submodel(x), mobilenet_v2(x))
    assert submodel.count_params() == mobilenet_v2.count_params() + depth * (depth + 1)


def test_the_base_is_not_changed(fresh_residual):
    before = fresh_residual.get_weights()
    described = fresh_residual.get_config()
    submodel = create_submodel(fresh_residual, "add_1->last")
    submodel.trainable = False
    submodel.set_weights([weight + 1 for weight in submodel.get_weights()])
    assert fresh_residual.get_config() == described
    assert all(layer.trainable for layer in fresh_residual.layers)
    for now, then in zip(fresh_residual.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_two_submodels_do_not_share_their_weights(residual):
    one, other = (create_submodel(residual, "add_1->last") for _ in range(2))
    one.get_layer("stem").set_weights([weight + 1 for weight in one.get_layer("stem").get_weights()])
    assert_same_weights(other, residual)


@pytest.mark.parametrize("a", ["stem_relu", "add_1", "project", "last_relu"])
def test_a_truncation_outputs_the_feature_map_of_a(residual, pixels, a, agree):
    submodel = create_submodel(residual, Connection.head(a))
    x = pixels(3, 16) / 127.5 - 1
    agree(submodel(x), intermediate(residual, a, x))
    assert set(names(submodel)) == LayerGraph.of(residual).ancestors(a)


def test_a_submodel_can_be_cut_again(residual, pixels, agree):
    x = pixels(3, 16) / 127.5 - 1
    twice = create_submodel(create_submodel(residual, "project->head"), "add_1->head")
    agree(twice(x), intermediate(residual, "add_1", x))
    cut = create_submodel(residual, "add_1->last")
    last = create_submodel(cut, "translator_conv->head")
    agree(last(x), intermediate(cut, "translator_conv", x))
    assert_same_weights(last, cut)


def test_preprocessing_stays_in_front(mobilenet_v2, pixels, agree):
    submodel = create_submodel(mobilenet_v2, "53,head")
    assert names(submodel)[:2] == ["images", "preprocess"]
    x = pixels(2)
    agree(submodel(x), intermediate(mobilenet_v2, "block_5_add", x))


def test_a_submodel_can_be_saved_and_loaded(residual, pixels, tmp_path):
    submodel = create_submodel(residual, "add_1->last")
    submodel.save(tmp_path / "sub.keras")
    back = keras.models.load_model(tmp_path / "sub.keras", safe_mode=True)
    x = pixels(2, 16)
    np.testing.assert_allclose(back(x), submodel(x), rtol=1e-6)


@pytest.mark.slow
def test_efficientnets_normalisation_is_carried_over(pixels, agree):
    base = BACKBONES["EfficientNetB0"].build(input_size=32, weights=None)
    (normalization,) = (x for x in base.layers if isinstance(x, layers.Normalization))
    mean, variance, *count = normalization.get_weights()
    shift, scale = np.array([0.3, 0.5, 0.7]), np.array([0.1, 0.2, 0.3])
    normalization.set_weights([mean + shift, variance * scale, *count])
    normalization.finalize_state()
    x = pixels(2)
    before = intermediate(base, "block2b_add", x)
    for connection in ("block2b_add->head", "block2b_add->block7a_expand_conv"):
        submodel = create_submodel(base, connection)
        agree(intermediate(submodel, "block2b_add", x), before)
        assert_same_weights(base, submodel)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cut", "beside", "directly"),
    [
        ("ResNet50V2", "conv2_block1_out->conv5_block1_preact_bn", "conv2_block1_1_conv->head",
         "conv4_block6_out->conv5_block1_preact_bn"),
        ("DenseNet121", "pool2_conv->pool4_bn", "conv2_block1_1_conv->head", "conv5_block16_concat->bn"),
    ],
)  # fmt: skip
def test_networks_of_other_families_are_cut_and_rejoined(name, cut, beside, directly, pixels, agree):
    base = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(32, 32, 3))
    x = pixels(1)
    submodel = create_submodel(base, cut)
    assert submodel.count_params() < base.count_params()
    a, _b = cut.split("->")
    agree(intermediate(submodel, a, x), intermediate(base, a, x))
    assert submodel(x).shape == base(x).shape
    assert_same_weights(base, submodel)
    with pytest.raises(CompressorError, match="cut off a skip branch"):
        create_submodel(base, beside)
    same = create_submodel(base, directly)
    depth = same.get_layer("translator_conv").filters
    same.get_layer("translator_conv").set_weights([np.eye(depth)[None, None], np.zeros(depth)])
    agree(same(x), base(x))


def test_all_consumers_of_bs_input_are_rejoined(residual):
    # conv_2 and the skip beside it take what `project` gives.
    submodel = create_submodel(residual, "stem_relu->conv_2")
    assert "project" not in names(submodel)
    translator_conv = LayerGraph.of(submodel).consumers["translator_conv"]
    assert translator_conv == ("conv_2", "add_2")
    assert_same_weights(residual, submodel)


def test_sequential_models_can_be_cut(pixels):
    base = keras.Sequential([keras.Input((16, 16, 3)), *(layers.Conv2D(4, 3, name=n) for n in "abc")])
    submodel = create_submodel(base, "a->c")
    assert list(names(submodel)[1:]) == ["a", "translator_pool", "translator_conv", "c"]
    assert submodel(pixels(1, 16)).shape == base(pixels(1, 16)).shape
    assert_same_weights(base, submodel)


def test_operations_that_are_no_layers_are_kept(pixels, agree):
    images = keras.Input((8, 8, 3))
    a = layers.Conv2D(4, 3, padding="same", name="a")(images)
    b = layers.Conv2D(4, 3, padding="same", name="b")(a)
    c = layers.Conv2D(5, 3, padding="same", name="c")((a + b) * 2.0)
    d = layers.Conv2D(6, 3, padding="same", name="d")(c - 1.0)
    base = keras.Model(images, d)
    x = pixels(2, 8) / 255
    agree(create_submodel(base, "c->head")(x), intermediate(base, "c", x))
    # What c and d receive comes from an operation.
    assert translator_of(create_submodel(base, "a->c")) == ["translator_conv"]
    same = create_submodel(base, "c->d")
    same.get_layer("translator_conv").set_weights([np.eye(5)[None, None], -np.ones(5)])
    agree(same(x), base(x))


def test_without_head_gives_the_network_in_front_of_it(residual, pixels, agree):
    classifier = attach_head(residual, 3, units=4, dropout=0.1)
    backbone = without_head(classifier, name="backbone")
    x = pixels(2, 16)
    assert names(backbone) == names(residual)
    agree(backbone(x), residual(x))
    assert_same_weights(backbone, residual)
    backbone.set_weights([weight + 1 for weight in backbone.get_weights()])
    assert_same_weights(classifier, residual)


def test_copy_weights_copies_layers_of_the_same_name(residual):
    target = create_submodel(residual, "add_1->last")
    own = target.get_layer("translator_conv").get_weights()
    target.set_weights([weight + 1 for weight in target.get_weights()])
    target.get_layer("translator_conv").set_weights(own)
    copy_weights(residual, target)
    assert_same_weights(residual, target)
    for now, then in zip(target.get_layer("translator_conv").get_weights(), own, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(("cut", "pool"), [("stem_relu", True), ("project", False)])
def test_a_tail_is_a_narrow_translator_in_front_of_the_head(cut, pool):
    images = keras.Input((16, 16, 3), name="images")
    x = layers.ReLU(name="stem_relu")(layers.Conv2D(6, 3, strides=2, padding="same", name="stem")(images))
    x = layers.Conv2D(8, 1, strides=2, name="project")(x)
    base = keras.Model(images, layers.Conv2D(50, 1, name="last")(x))
    tail = create_submodel(base, f"{cut}->tail", tail_units=5)
    assert translator_of(tail) == [
        *(["translator_pool"] if pool else []),
        "translator_conv",
        "translator_bn",
        "translator_activation",
    ]
    assert tail.output_shape == (None, 4, 4, 5)
    channels = base.get_layer(cut).output.shape[-1]
    kept = create_submodel(base, f"{cut}->head")
    assert tail.count_params() == kept.count_params() + 5 * channels + 4 * 5
    assert_same_weights(base, tail)


def test_a_tail_adds_its_weights_to_the_published_backbone(published_size):
    # Kept up to layer 62, and 64 x 512 weights with 512 batch norms behind it.
    base = published_size("MobileNetV2")
    tail = create_submodel(base, "62->tail", tail_units=512)
    kept = create_submodel(base, "62->head")
    assert tail.count_params() - kept.count_params() == 64 * 512 + 4 * 512
    assert tail.output_shape == (None, 7, 7, 512)


@pytest.mark.parametrize("connection", ["add_1->head", "add_1->tail"])
def test_a_shared_network_predicts_like_a_copy_with_the_layers_of_the_base(residual, pixels, agree, connection):
    shared, own = extend_shared(residual, connection, tail_units=4), create_submodel(residual, connection, tail_units=4)
    assert [layer.name for layer in shared.layers] == [layer.name for layer in own.layers]
    assert shared.get_layer("conv_1") is residual.get_layer("conv_1")
    own.set_weights(shared.get_weights())
    images = pixels(4, 16)
    agree(shared(images), own(images))


def test_a_network_that_rejoins_cannot_share_layers(residual):
    with pytest.raises(CompressorError, match="from 'last' on cannot be shared: use create_submodel"):
        extend_shared(residual, "add_1->last")
