from __future__ import annotations

import keras
import numpy as np
import pytest

from compressor_lib.errors import CompressorError
from compressor_lib.networks.graph import LayerGraph, functional_config

layers = keras.layers


def test_producers_and_sink_of_a_residual_network(residual):
    graph = LayerGraph.of(residual)
    assert graph.sink == "last_relu"
    assert graph.producers["images"] == ()
    assert graph.producers["add_1"] == ("stem_relu", "conv_1")
    assert graph.producers["last"] == ("add_2",)
    assert set(graph.producers) == {layer.name for layer in residual.layers}


def test_every_layer_comes_after_its_inputs(residual):
    graph = LayerGraph.of(residual)
    assert sorted(graph.order.values()) == list(range(len(residual.layers)))
    for name, inputs in graph.producers.items():
        assert all(graph.order[producer] < graph.order[name] for producer in inputs)


def test_order_is_independent_of_the_configuration(residual):
    config = functional_config(residual)
    config["layers"] = config["layers"][::-1]
    graph = LayerGraph.from_config(config)
    assert graph.order == LayerGraph.of(residual).order


def test_ancestors(residual):
    graph = LayerGraph.of(residual)
    assert graph.ancestors("conv_1") == {"conv_1", "stem_relu", "stem", "images"}
    assert "conv_1" in graph.ancestors("add_1")
    assert graph.ancestors(graph.sink) == set(graph.producers)


@pytest.mark.parametrize("inside", ["conv_1", "conv_2"])
def test_skip_branch_bypasses_the_parallel_layers(residual, inside):
    start, end = {"conv_1": ("stem_relu", "add_1"), "conv_2": ("project", "add_2")}[inside]
    assert LayerGraph.of(residual).bypass(inside) == (start, end)


def test_layers_on_every_path_are_not_bypassed(residual):
    graph = LayerGraph.of(residual)
    beside = {"conv_1", "conv_2"}
    assert {name for name in graph.producers if graph.bypass(name)} == beside


def random_graph(seed: int) -> LayerGraph:
    """Every layer takes one or two of the five before it, and is taken by one behind it."""
    rng = np.random.default_rng(seed)
    producers: dict[str, tuple[str, ...]] = {"0": ()}
    for layer in range(1, 25):
        inputs = rng.integers(max(0, layer - 5), layer, rng.integers(1, 3))
        producers[str(layer)] = tuple({str(layer - 1), *map(str, inputs)} if rng.random() < 0.5 else {str(layer - 1)})
    names = [str(name) for name in rng.permutation(25)]
    shuffled = {names[int(layer)]: tuple(names[int(i)] for i in inputs) for layer, inputs in producers.items()}
    return LayerGraph({name: shuffled[name] for name in sorted(shuffled)}, names[24])


@pytest.mark.parametrize("seed", range(20))
def test_cut_points_are_the_layers_without_bypass(seed):
    graph = random_graph(seed)
    expected = [name for name in graph.order if graph.bypass(name) is None]
    assert graph.cut_points() == expected
    assert 2 <= len(expected) < len(graph.order)


def test_consumers_are_the_inverse_of_producers(residual):
    graph = LayerGraph.of(residual)
    assert graph.consumers["stem_relu"] == ("conv_1", "add_1")
    assert graph.consumers[graph.sink] == ()
    x = keras.Input((4,), name="x")
    assert LayerGraph.of(keras.Model(x, layers.Add(name="twice")([x, x]))).consumers["x"] == ("twice",)


def test_every_layer_of_a_branch_is_bypassed():
    images = keras.Input((4, 4, 3), name="images")
    left = right = images
    for number in range(2):
        left = layers.Conv2D(3, 1, name=f"left_{number}")(left)
        right = layers.Conv2D(3, 1, name=f"right_{number}")(right)
    joined = layers.Concatenate(name="joined")([left, right])
    graph = LayerGraph.of(keras.Model(images, joined))
    assert {name for name in graph.producers if graph.bypass(name)} == {
        "left_0",
        "left_1",
        "right_0",
        "right_1",
    }


def test_sequential_models_have_a_graph_too():
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(2, 1, name="one"), layers.Conv2D(2, 1, name="two")])
    graph = LayerGraph.of(model)
    assert graph.producers["two"] == ("one",)
    assert graph.sink == "two"


def test_operations_that_are_not_layers_are_in_the_graph():
    images = keras.Input((4, 4, 3), name="images")
    one = layers.Conv2D(3, 1, name="one")(images)
    joined = images + one
    graph = LayerGraph.of(keras.Model(images, layers.Conv2D(2, 1, name="two")(joined * 2.0)))
    (multiply,) = graph.producers["two"]
    (add,) = graph.producers[multiply]
    assert graph.producers[add] == ("images", "one")
    assert graph.bypass("one") == ("images", add)
    assert graph.bypass(add) is None


def test_layer_used_twice_is_rejected():
    images = keras.Input((4, 4, 3))
    shared = layers.Conv2D(3, 1, name="shared")
    with pytest.raises(CompressorError, match="'shared'.*used more than once"):
        LayerGraph.of(keras.Model(images, shared(shared(images))))


def test_layer_shared_with_another_model_is_accepted():
    shared = layers.Conv2D(3, 1, name="shared")
    models = []
    for size in (4, 6):
        images = keras.Input((size, size, 3), name="images")
        models.append(keras.Model(images, shared(images)))
    for model in models:
        assert LayerGraph.of(model).producers["shared"] == ("images",)


def test_several_inputs_are_rejected():
    one, two = keras.Input((4,)), keras.Input((4,))
    with pytest.raises(CompressorError, match="2 inputs; only models with one input"):
        LayerGraph.of(keras.Model([one, two], layers.Add()([one, two])))


def test_several_outputs_are_rejected():
    x = keras.Input((4,))
    model = keras.Model(x, {"a": layers.Dense(1)(x), "b": layers.Dense(1)(x)})
    with pytest.raises(CompressorError, match="2 outputs; only models with one input"):
        LayerGraph.of(model)


def test_single_input_in_a_list_or_dict_is_accepted():
    for shape in (lambda x: [x], lambda x: {"x": x}):
        x = keras.Input((4,), name="x")
        graph = LayerGraph.of(keras.Model(shape(x), shape(layers.Dense(1, name="y")(x))))
        assert graph.sink == "y"


def test_subclassed_model_is_rejected():
    class Opaque(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(CompressorError, match=r"not a functional Keras model.*keras\.Model\("):
        LayerGraph.of(Opaque(name="opaque"))
