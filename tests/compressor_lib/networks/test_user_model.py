from __future__ import annotations

import keras
import keras_tuner as kt
import numpy as np
import pytest

from compressor_lib.cuts.surgery import create_submodel, without_head
from compressor_lib.deployment.tflite import tflite_predict, to_tflite
from compressor_lib.errors import CompressorError
from compressor_lib.networks.heads import last_feature_map
from compressor_lib.networks.keras_file import read_keras_file
from compressor_lib.networks.user_model import keep_head, load_own_model
from compressor_lib.search.hypermodels import HyperCompressor

layers = keras.layers
OWN = ["red", "green", "blue"]
WANTED = ["blue", "red", "green"]
SIZE = 16


def own_classifier(size: int | None = SIZE, activation: str = "softmax") -> keras.Model:
    """As most people build one: a pretrained network as a layer, augmentation in front, a head behind."""
    keras.utils.set_random_seed(0)
    base = keras.Sequential(
        [
            keras.Input((size, size, 3)),
            layers.Conv2D(8, 3, padding="same", name="conv"),
            layers.BatchNormalization(name="translator_bn"),  # as if it came from this project
            layers.ReLU(name="top_gap"),
            layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="tail"),
            layers.Conv2D(24, 3, padding="same", activation="relu", name="wide"),
            layers.Conv2D(24, 3, padding="same", activation="relu", name="last"),
        ],
        name="base",
    )
    images = keras.Input((size, size, 3))
    x = base(layers.RandomFlip()(images))
    x = layers.GlobalMaxPooling2D(name="pool")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    return keras.Model(images, layers.Dense(3, activation=activation, name="answers")(x), name="mine")


@pytest.fixture
def save(tmp_path):
    def _save(model: keras.Model) -> str:
        path = str(tmp_path / "own.keras")
        model.save(path)
        return path

    return _save


@pytest.mark.slow
def test_file_is_loaded_as_flat_network_with_safe_names(save, pixels, agree):
    model = own_classifier()
    own = load_own_model(save(model))
    assert [layer.name for layer in own.layers] == [
        "images", "conv", "own_translator_bn", "own_top_gap", "own_tail", "wide", "last",
        "pool", "dropout", "answers",
    ]  # fmt: skip
    assert last_feature_map(own) == "last"
    x = pixels(3, SIZE)
    agree(own(x), model(x, training=False))
    assert without_head(own).layers[-1].name == "last"


def test_pixels_are_rescaled_where_the_model_does_not(save, pixels, agree):
    model = own_classifier()
    own = load_own_model(save(model), rescale=(1 / 127.5, -1.0))
    assert own.layers[1].name == "preprocess"
    x = pixels(3, SIZE)
    agree(own(x), model(x / 127.5 - 1, training=False))


def test_model_of_any_size_gets_a_fixed_size(save):
    path = save(own_classifier(size=None))
    assert load_own_model(path, input_size=20).input_shape == (None, 20, 20, 3)
    with pytest.raises(CompressorError, match="images of any size; give the input_size"):
        load_own_model(path)


def test_other_size_is_rejected(save):
    with pytest.raises(CompressorError, match="takes images of 16 pixels, not 20"):
        load_own_model(save(own_classifier()), input_size=20)


def test_model_without_feature_map_is_rejected(save):
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(CompressorError, match="has no feature map"):
        load_own_model(save(model))


def test_file_that_keras_cannot_load_is_reported(save, monkeypatch):
    def fails(*args, **kwargs):
        raise TypeError("no such layer\nand a long story.")

    path = save(own_classifier())
    monkeypatch.setattr(keras.models, "load_model", fails)
    with pytest.raises(CompressorError, match="cannot be loaded and run: no such layer. Save it again"):
        load_own_model(path)


def test_kept_head_has_outputs_in_the_order_of_the_data(save, pixels):
    own = load_own_model(save(own_classifier()))
    kept = keep_head(own, OWN, WANTED)
    x = pixels(3, SIZE)
    expected = own(x).numpy()[:, [OWN.index(name) for name in WANTED]]
    assert np.ptp(expected, axis=-1).min() > 1e-3
    np.testing.assert_allclose(kept(x), expected, rtol=1e-5)
    assert not np.allclose(own(x), expected, atol=1e-3)  # the given model is as it was


def test_logits_get_a_softmax(save, pixels):
    own = load_own_model(save(own_classifier(activation="linear")))
    kept = keep_head(own, OWN, WANTED)
    x = pixels(3, SIZE) / 255
    logits = own(x).numpy()[:, [OWN.index(name) for name in WANTED]]
    np.testing.assert_allclose(kept(x), keras.ops.softmax(logits), rtol=1e-5)


@pytest.mark.slow
def test_head_of_keras_mobilenet_is_kept(save):
    """A convolution over the pooled image, reshaped."""
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNet(weights=None, classes=3, input_shape=(32, 32, 3), alpha=0.25)
    own = load_own_model(save(model))
    assert last_feature_map(own) == "conv_pw_13_relu"
    kept = keep_head(own, OWN, WANTED)
    (weights, bias), (own_weights, own_bias) = (each.get_layer("conv_preds").get_weights() for each in (kept, own))
    np.testing.assert_array_equal(weights, own_weights[..., [2, 0, 1]])
    np.testing.assert_array_equal(bias, own_bias[[2, 0, 1]])


@pytest.mark.parametrize(
    ("activation", "own_classes", "message"),
    [
        ("softmax", ["red", "green"], r"2 class names are given, but the model's output is \(None, 3\)"),
        ("softmax", ["red", "green", "bleu"], r"\(red, green, bleu\) are not the data's classes \(blue, red, green\)"),
        ("sigmoid", OWN, "outputs are not probabilities"),
    ],
)
def test_head_that_does_not_fit_is_rejected(save, activation, own_classes, message):
    own = load_own_model(save(own_classifier(activation=activation)))
    with pytest.raises(CompressorError, match=message) as refused:
        keep_head(own, own_classes, WANTED)
    assert refused.value.argument == "classes"


@pytest.mark.slow
def test_trained_model_is_compressed(save, labelled, eagerly, tmp_path):
    x, y = labelled(96, SIZE)
    model = own_classifier()
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=4, verbose=0)
    base = without_head(load_own_model(save(model)))
    hypermodel = HyperCompressor(
        model.count_params(), 3, backbone=base, head_units=[0], loss="sparse_categorical_crossentropy",
        learning_rates=(1e-2, 2e-2),
    )  # fmt: skip
    assert {c.end for c in hypermodel.connections} >= {"last", "head", "tail"}
    tuner = kt.RandomSearch(
        hypermodel, kt.Objective("val_acc_comp", "max"), max_trials=2, seed=0, directory=tmp_path, project_name="own"
    )
    tuner.search(x, y, epochs=2, validation_data=(x, y), verbose=0)
    trials = tuner.oracle.get_best_trials(2)
    assert len(trials) == 2
    best = tuner.get_best_models(1)[0]
    assert best.count_params() < model.count_params()
    submodel = create_submodel(base, hypermodel.connection(trials[0].hyperparameters))
    np.testing.assert_array_equal(best.get_layer("conv").get_weights()[0], submodel.get_layer("conv").get_weights()[0])


def classifier_under(policy: str, *, only: tuple[str, ...] = ()) -> keras.Model:
    """A classifier of which all layers, or some, compute under a dtype policy; a nested model and Rescaling are."""
    keras.utils.set_random_seed(1)

    def dtype(name: str) -> str:
        return policy if not only or name in only else "float32"

    base = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 127.5, -1, dtype=dtype("scale"), name="scale"),
            layers.Conv2D(8, 3, padding="same", dtype=dtype("conv"), name="conv"),
            layers.BatchNormalization(dtype=dtype("bn"), name="bn"),
            layers.ReLU(dtype=dtype("relu"), name="relu"),
        ],
        name="base",
    )
    images = keras.Input((SIZE, SIZE, 3))
    x = layers.GlobalAveragePooling2D(dtype=dtype("pool"), name="pool")(base(images))
    answers = layers.Dense(3, activation="softmax", dtype=dtype("answers"), name="answers")(x)
    return keras.Model(images, answers, name="mine")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "only"),
    [
        ("mixed_float16", ()), ("mixed_bfloat16", ()), ("float16", ()), ("bfloat16", ()), ("float64", ()),
        ("mixed_float16", ("conv",)), ("float16", ("scale", "answers")),
    ],
)  # fmt: skip
def test_network_of_any_float_type_is_deployed_in_float32(save, pixels, policy, only):
    model = classifier_under(policy, only=only)
    own = load_own_model(save(model))

    assert {layer.compute_dtype for layer in own.layers} == {"float32"}
    assert {str(keras.backend.standardize_dtype(weight.dtype)) for weight in own.weights} == {"float32"}
    x = pixels(3, SIZE)
    found, expected = own(x, training=False).numpy(), keras.ops.convert_to_numpy(model(x, training=False))
    np.testing.assert_allclose(found, expected.astype(np.float32), atol=0.02)
    attached = keep_head(own, OWN, WANTED)
    np.testing.assert_allclose(tflite_predict(to_tflite(attached), x), attached(x).numpy(), atol=1e-4)


def test_a_wrapped_layer_computes_in_float32_too(save):
    images = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(4, 3, dtype="mixed_float16")(images)
    x = layers.TimeDistributed(layers.Dense(5, dtype="mixed_float16"), dtype="mixed_float16")(x)
    x = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    own = load_own_model(save(keras.Model(images, x)))
    (wrapper,) = (layer for layer in own.layers if isinstance(layer, layers.TimeDistributed))
    assert wrapper.layer.compute_dtype == "float32"


def test_quantised_network_is_rejected_before_loading(save):
    model = own_classifier()
    model.quantize("int8")
    with pytest.raises(CompressorError, match=r"layer 'answers' .* is quantised \(Quantized.*save the model before"):
        read_keras_file(save(model))
