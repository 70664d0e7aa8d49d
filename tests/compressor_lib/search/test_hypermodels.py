from __future__ import annotations

import itertools

import keras
import keras_tuner as kt
import numpy as np
import pytest
import tensorflow as tf

from compressor_lib.cuts.connections import Kind
from compressor_lib.cuts.lookup import find_connection
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.errors import CompressorError
from compressor_lib.networks.heads import attach_head
from compressor_lib.objective import costs
from compressor_lib.objective.costs import COSTS, counted_costs, measure_costs
from compressor_lib.objective.metrics import AccuracyCompression
from compressor_lib.pretraining.bank import Translator, TranslatorBank
from compressor_lib.pretraining.translator_fit import fit_translators
from compressor_lib.search.hypermodels import (
    PUBLISHED_HEAD_UNITS,
    HyperCompressedEfficientNetB5,
    HyperCompressedMobileNet,
    HyperCompressedMobileNetV2,
    HyperCompressor,
)

pytestmark = pytest.mark.usefixtures("eagerly")

layers = keras.layers
CUTS = ["add_1->last", "stem_relu->last", "add_1->head"]
OBJECTIVE = kt.Objective("val_acc_comp", direction="max")
SPARSE = "sparse_categorical_crossentropy"


def hypermodel(base: keras.Model, kind: type[HyperCompressor] = HyperCompressor, **changed) -> HyperCompressor:
    arguments = {"backbone": base, "connections": CUTS, "loss": SPARSE, "learning_rates": (0.01, 0.1)}
    return kind(3000, 3, **{**arguments, **changed})


def fixed(connection: str = CUTS[0], lr: float = 0.05) -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Fixed("translator", connection)
    hp.Fixed("lr", lr)
    return hp


class Data:
    """A data set that counts the examples that are read from it."""

    def __init__(self, x: np.ndarray, y: np.ndarray, batch: int = 12) -> None:
        self.x, self.y, self.read = x, y, 0
        self.dataset = tf.data.Dataset.from_generator(
            self._examples,
            output_signature=(tf.TensorSpec(x.shape[1:]), tf.TensorSpec(y.shape[1:], y.dtype)),
        ).batch(batch)

    def _examples(self):
        for pair in zip(self.x, self.y, strict=True):
            self.read += 1
            yield pair


@pytest.fixture
def train(labelled) -> Data:
    return Data(*labelled(48))


@pytest.fixture
def validation(labelled) -> Data:
    return Data(*labelled(24, seed=1))


@pytest.fixture(scope="module")
def bank(residual, labelled) -> TranslatorBank:
    compressor = hypermodel(residual)
    return fit_translators(residual, compressor.connections, [labelled(48)[0]])


def fit(compressor: HyperCompressor, train: Data, validation: Data, **changed):
    """Builds and fits one trial: its model and its history."""
    hp = changed.pop("hp", None) or fixed()
    model = changed.pop("model", None) or compressor.build(hp)
    arguments = {"validation_data": validation.dataset, "epochs": 3, "verbose": 0, **changed}
    return model, compressor.fit(hp, model, train.dataset, **arguments)


def was_cached(train: Data, validation: Data, epochs: int = 3) -> bool:
    """Whether a fit with given translators read the data once rather than at each epoch."""
    cached = validation.read == len(validation.x)
    assert cached or validation.read == epochs * len(validation.x)
    assert (train.read == len(train.x)) == cached
    assert cached or train.read == epochs * len(train.x)
    return cached


# The published API


@pytest.mark.parametrize(
    ("kind", "tuner_name"),
    [
        pytest.param(HyperCompressedMobileNetV2, "Hyperband", marks=pytest.mark.slow),
        (HyperCompressedMobileNet, "BayesianOptimization"),
        # So deep that to build it takes seconds.
        pytest.param(HyperCompressedEfficientNetB5, "RandomSearch", marks=pytest.mark.slow),
    ],
)
def test_the_published_snippet(kind, tuner_name, labelled, tmp_path):
    def one_hot(count: int, seed: int) -> tf.data.Dataset:
        x, y = labelled(count, 32, seed)
        return tf.data.Dataset.from_tensor_slices((x, np.eye(3)[y])).batch(8)

    ds_train, ds_val = one_hot(24, 0), one_hot(8, 1)
    hyper_model = kind(max_parameters=2.3e6, num_classes=3, tau=0.4, weights=None, input_shape=(32, 32, 3))
    tuner = getattr(kt, tuner_name)(
        hyper_model,
        objective=kt.Objective("val_acc_comp", direction="max"),
        directory=tmp_path,
        **({"max_epochs": 2} if tuner_name == "Hyperband" else {"max_trials": 1}),
    )
    tuner.search(ds_train, validation_data=ds_val, verbose=0)
    best = tuner.get_best_hyperparameters(1)[0]
    assert best["translator"] in map(str, hyper_model.connections)
    trial = tuner.oracle.get_best_trials(1)[0]
    accuracy, parameters = (trial.metrics.get_best_value(n) for n in ("val_accuracy", "parameters"))
    if tuner_name == "Hyperband":
        model = tuner.get_best_models(1)[0]
        x, y = next(iter(ds_val))
        assert np.mean(model(x).numpy().argmax(1) == y.numpy().argmax(1)) == pytest.approx(accuracy)
        assert model.count_params() == parameters
    # Below zero where a network has more than max_parameters, such as B5.
    assert trial.score == pytest.approx(0.4 * accuracy + 0.6 * (1 - parameters / 2.3e6), rel=1e-4)


def test_the_published_space():
    compressor = HyperCompressedMobileNetV2(2.3e6, 5, 0.4, "mine", True, weights=None, input_shape=32)
    assert compressor.name == "mine"
    hp = kt.HyperParameters()
    model = compressor.build(hp)
    space = {parameter.name: parameter for parameter in hp.space}
    assert set(space) == {"translator", "top_fc1_units", "lr"}
    assert len(space["translator"].values) == 31
    assert list(space["top_fc1_units"].values) == [4, 12, 20, 28]
    lr = space["lr"]
    assert (lr.min_value, lr.max_value, lr.sampling) == (1e-5, 1e-2, "log")
    assert model.output_shape == (None, 5)
    assert float(model.optimizer.learning_rate) == pytest.approx(hp["lr"])
    trained = {layer.name for layer in model.layers if layer.trainable_weights}
    assert trained == {"top_fc1", "classifier"}


@pytest.mark.parametrize("kind", [HyperCompressedMobileNet, HyperCompressedMobileNetV2])
def test_sizes_default_to_the_published(kind):
    compressor = kind(1e6, 2, weights=None)
    assert compressor.base.input_shape == (None, 224, 224, 3)
    assert len(compressor.connections) == (23 if kind is HyperCompressedMobileNet else 31)


@pytest.mark.parametrize("form", ["97,151", "block_10_project_BN->Conv_1"])
def test_either_form_of_a_connection_can_be_fixed(form):
    compressor = HyperCompressedMobileNetV2(2.3e6, 5, weights=None, input_shape=32)
    hp = kt.HyperParameters()
    hp.Fixed("translator", form)
    model = compressor.build(hp)
    units = hp["top_fc1_units"]
    assert model.count_params() == 762_880 + 1281 * units + (units + 1) * 5
    assert str(compressor.connection(hp)) == "block_10_project_BN->Conv_1"
    assert hp["translator"] == form


@pytest.mark.slow
def test_what_is_fixed_stays_and_the_rest_is_searched(residual, train, validation, tmp_path):
    hp = kt.HyperParameters()
    hp.Fixed("translator", "4, 12")
    tuner = kt.RandomSearch(hypermodel(residual), OBJECTIVE, max_trials=2, directory=tmp_path, hyperparameters=hp)
    tuner.search(train.dataset, validation_data=validation.dataset, verbose=0)
    trials = tuner.oracle.get_best_trials(2)
    assert [trial.hyperparameters["translator"] for trial in trials] == ["4, 12"] * 2
    assert len({trial.hyperparameters["lr"] for trial in trials}) == 2


def test_a_fixed_connection_that_cannot_be_is_refused_before_the_search(residual, tmp_path):
    hp = kt.HyperParameters()
    hp.Fixed("translator", "last->expand")
    with pytest.raises(CompressorError, match="runs backwards"):
        kt.RandomSearch(hypermodel(residual), OBJECTIVE, directory=tmp_path, hyperparameters=hp)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Hyperband", "GridSearch"])
def test_a_whole_search(residual, train, validation, tmp_path, name, request):
    if name == "Hyperband":
        request.getfixturevalue("traced")
    compressor = hypermodel(residual, head_units=[0, 4], tau=0.4)
    tuner = getattr(kt, name)(
        compressor,
        objective=OBJECTIVE,
        directory=tmp_path,
        seed=0,
        **({"max_epochs": 3} if name == "Hyperband" else {"max_trials": 3}),
    )
    epochs = {} if name == "Hyperband" else {"epochs": 3}
    tuner.search(train.dataset, validation_data=validation.dataset, verbose=0, **epochs)
    trials = tuner.oracle.get_best_trials(100)
    assert len(trials) == len(tuner.oracle.trials) >= 3
    for trial in trials:
        assert {"parameters", "seconds", "acc_comp", "val_acc_comp"} <= set(trial.metrics.metrics)
    if name == "Hyperband":
        assert any("tuner/trial_id" in trial.hyperparameters.values for trial in trials)
    # All trials together: a batch for its size, the translators' pass and the cache's, no more.
    assert train.read <= 2 * 48 + 12 * len(trials)
    assert validation.read == 24
    best = tuner.get_best_models(1)[0]
    assert best.count_params() == trials[0].metrics.get_best_value("parameters")
    accuracy = np.mean(best(validation.x).numpy().argmax(1) == validation.y)
    score = 0.4 * accuracy + 0.6 * (1 - best.count_params() / 3000)
    assert trials[0].score == pytest.approx(score, abs=0.02)


@pytest.mark.slow
def test_best_models_outlive_the_process(residual, train, validation, tmp_path):
    def tuner() -> kt.Tuner:
        arguments = {"objective": OBJECTIVE, "directory": tmp_path, "seed": 0}
        return kt.RandomSearch(hypermodel(residual), max_trials=1, **arguments)

    searched = tuner()
    searched.search(train.dataset, validation_data=validation.dataset, epochs=2, verbose=0)
    again = tuner().get_best_models(1)[0]
    for mine, theirs in zip(again.get_weights(), searched.get_best_models(1)[0].get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


# What a trial is


def test_the_metric_knows_the_models_size(residual):
    compressor = hypermodel(residual, tau=0.25)
    model = compressor.build(fixed())
    assert compressor.compression(model) == pytest.approx(1 - model.count_params() / 3000)
    x = np.zeros((4, 16, 16, 3), np.float32)
    answer = model.predict(x, verbose=0).argmax(1)
    values = model.evaluate(x, answer, verbose=0, return_dict=True)
    assert values["accuracy"] == 1
    assert values["acc_comp"] == pytest.approx(0.25 + 0.75 * (1 - model.count_params() / 3000))


def test_given_translators_are_used(residual, bank):
    compressor = hypermodel(residual, translators=bank)
    for text in CUTS[:2]:
        conv = compressor.build(fixed(text)).get_layer("translator_conv")
        np.testing.assert_array_equal(conv.get_weights()[0][0, 0], bank.translators[text].kernel)


def test_translators_that_are_missing_are_told(residual, bank):
    compressor = hypermodel(residual, translators=bank, connections=["stem->last"])
    with pytest.raises(CompressorError, match="no translator for stem->last"):
        compressor.build(fixed("stem->last"))


@pytest.mark.slow
def test_translators_are_fitted_on_the_first_data(residual, train, validation, bank):
    compressor = hypermodel(residual)
    model, _ = fit(compressor, train, validation)
    assert (train.read, validation.read) == (48, 24)  # the pass that features came from
    assert set(compressor.translators.translators) == {*CUTS[:2]}
    for text, first in ((CUTS[0], model), (CUTS[1], None)):
        conv = (first or compressor.build(fixed(text))).get_layer("translator_conv")
        # The bank was made from the same images.
        np.testing.assert_allclose(conv.get_weights()[0][0, 0], bank.translators[text].kernel, rtol=1e-3, atol=1e-4)


def test_a_promoted_trial_keeps_the_weights_it_was_given_back(residual, train, validation):
    compressor, hp = hypermodel(residual), fixed()
    hp.values["tuner/trial_id"] = "0000"
    model = compressor.build(hp)
    kernel, _bias = model.get_layer("translator_conv").get_weights()
    fit(compressor, train, validation, hp=hp, model=model)
    np.testing.assert_array_equal(model.get_layer("translator_conv").get_weights()[0], kernel)


@pytest.mark.slow
@pytest.mark.parametrize("cache", [True, False])
def test_the_history_tells_parameters_and_seconds(residual, train, validation, cache):
    model, history = fit(hypermodel(residual, cache_features=cache), train, validation, epochs=2)
    assert history.epoch == [0, 1]
    assert history.history["parameters"] == [model.count_params()] * 2
    assert history.history["seconds"][0] > 0
    assert (history.history["examples"][0] > 0) == cache
    names = {"loss", "accuracy", "acc_comp"}
    assert names | {f"val_{name}" for name in names} <= set(history.history)


# Costs and budgets


@pytest.mark.slow
@pytest.mark.parametrize("cost", COSTS)
def test_the_objective_weighs_the_cost_that_is_wanted(residual, train, validation, bank, cost):
    compressor = hypermodel(residual, tau=0.25, translators=bank, cost=cost, max_cost=1e6)
    model, history = fit(compressor, train, validation, epochs=2)
    value, again = history.history[cost]
    assert value == again
    if cost in ("parameters", "macs", "memory"):
        assert value == measure_costs(model, [cost])[cost]
    elif cost == "bytes":
        # Arrays that are alike, such as zeros before training, are stored once.
        assert value == pytest.approx(measure_costs(model, [cost])[cost], rel=0.1)
    else:
        assert 0 < value < 100
    assert compressor.compression(model) == 1 - value / 1e6
    accuracy, score = (history.history[f"val_{name}"][-1] for name in ("accuracy", "acc_comp"))
    assert score == pytest.approx(0.25 * accuracy + 0.75 * (1 - value / 1e6))
    assert history.history["parameters"] == [model.count_params()] * 2


def test_parameters_may_have_a_yardstick_of_their_own(residual):
    compressor = hypermodel(residual, max_cost=6000)
    model = compressor.build(fixed())
    assert compressor.compression(model) == 1 - model.count_params() / 6000


@pytest.mark.slow
def test_a_network_over_a_budget_scores_one_lower(residual, bank, train, validation):
    free = hypermodel(residual, translators=bank)
    parameters = free.build(fixed()).count_params()
    scores = []
    for limit in (parameters, parameters - 1):
        # A width that is no connection's narrowest, so that nothing is left out beforehand.
        compressor = hypermodel(residual, translators=bank, head_units=[0, 4], budgets={"parameters": limit})
        hp = fixed()
        hp.Fixed("top_fc1_units", 4)
        keras.utils.set_random_seed(7)
        _, history = fit(compressor, train, validation, hp=hp, shuffle=False, epochs=1)
        scores.append(history.history["val_acc_comp"][-1])
    assert scores[1] == pytest.approx(scores[0] - 1, abs=0.05)


def test_what_is_measured_is_measured_once_for_each_architecture(residual, bank, monkeypatch):
    converted = []
    monkeypatch.setattr(costs, "to_tflite", lambda model, **_: converted.append(model.name) or bytes(7))
    compressor = hypermodel(
        residual,
        translators=bank,
        connections=["add_1->last", "stem_relu->last", "add_1->tail"],
        head_units=[0, 4],
        tail_units=[5, 6],
        budgets={"bytes": 10},
    )
    for times in (1, 2):
        for connection, *widths in (
            ("add_1->last", 0),
            ("add_1->last", 4),
            ("stem_relu->last", 0),
            ("add_1->tail", 0, 5),
            ("add_1->tail", 0, 6),
        ):
            hp = fixed(connection, lr=0.01 * times)
            for name, width in zip(("top_fc1_units", "tail_units"), widths, strict=False):
                hp.Fixed(name, width)
            model = compressor.build(hp)
            assert compressor.costs(model) == {"parameters": model.count_params(), "bytes": 7}
        assert len(converted) == 5


def test_files_are_measured_in_the_precision_that_ships(residual, bank):
    sizes = []
    for precision in ("float32", "int8"):
        compressor = hypermodel(residual, translators=bank, budgets={"bytes": 10**9}, precision=precision)
        sizes.append(compressor.costs(compressor.build(fixed()))["bytes"])
    assert sizes[1] < sizes[0]


def test_a_budget_of_memory_that_the_first_layers_exceed_is_refused(residual):
    cuts = [find_connection(text, residual) for text in CUTS]
    least = counted_costs(residual, cuts[0], 3)["memory"]
    with pytest.raises(CompressorError, match=r"no connection meets the budgets: .* KiB of memory"):
        _ = hypermodel(residual, connections=cuts, budgets={"memory": 0.9 * least}).connections


@pytest.mark.parametrize("cost", ["parameters", "macs"])
def test_connections_over_a_budget_in_their_narrowest_form_are_not_offered(residual, cost):
    cuts = [find_connection(text, residual) for text in [*CUTS, "add_1->tail"]]
    narrowest = {
        str(cut): min(
            counted_costs(residual, cut, 3, tail_units=4, head_units=units)[cost] for units in PUBLISHED_HEAD_UNITS
        )
        for cut in cuts
    }
    limit = sorted(narrowest.values())[1]
    compressor = hypermodel(residual, connections=cuts, tail_units=[9, 4], budgets={cost: limit})
    offered = {str(connection) for connection in compressor.connections}
    assert offered == {cut for cut, value in narrowest.items() if value <= limit}
    assert len(offered) == 2
    hp = kt.HyperParameters()
    compressor.build(hp)
    assert set(hp.space[0].values) == offered


def test_the_narrowest_head_is_not_always_the_one_without_a_layer(residual):
    # 8 channels to 3 classes: 27 parameters at once, 9 + 6 through a single unit.
    without, through = (
        counted_costs(residual, find_connection(CUTS[0], residual), 3, head_units=units)["parameters"]
        for units in (0, 1)
    )
    assert through < without
    compressor = hypermodel(residual, connections=CUTS[:1], head_units=[0, 1], budgets={"parameters": through})
    assert [str(connection) for connection in compressor.connections] == CUTS[:1]


def test_under_a_budget_a_tail_is_as_wide_as_it_may_be(residual):
    tail = find_connection("add_1->tail", residual)
    widths = (4, 8, 16, 32)

    def built(most: int, limit: float | None = None) -> int:
        compressor = hypermodel(
            residual, connections=[tail], tail_units=widths, head_units=[0],
            budgets={"parameters": limit} if limit else None,
        )  # fmt: skip
        hp = kt.HyperParameters()
        hp.Fixed("tail_units", most)
        return compressor.create_backbone(hp).output.shape[-1]

    eight = counted_costs(residual, tail, 3, tail_units=8)["parameters"]
    assert [built(most) for most in widths] == [4, 8, 16, 32]
    assert [built(most, eight) for most in widths] == [4, 8, 8, 8]
    assert [built(most, eight - 1) for most in widths] == [4, 4, 4, 4]


def test_budgets_that_no_connection_keeps_are_told(residual):
    compressor = hypermodel(residual, budgets={"parameters": 100, "latency": 1e-9})
    message = r"the closest one, stem_relu->last, has 413 parameters \(budget: 100\) in"
    with pytest.raises(CompressorError, match=message):
        compressor.build(kt.HyperParameters())


@pytest.mark.slow
def test_translators_are_trained_in_each_trial_from_the_fitted_weights(residual, bank, train, validation):
    compressor = hypermodel(residual, translators=bank, train_translators=True)
    fitted = bank.translators[CUTS[0]].kernel
    suffix = [layer.name for layer in residual.layers if layer.name.startswith("last") and layer.weights]
    before = {name: residual.get_layer(name).get_weights() for name in suffix}
    for _ in range(2):
        model = compressor.build_trial(fixed())
        np.testing.assert_array_equal(model.get_layer("translator_conv").get_weights()[0].reshape(fitted.shape), fitted)
        fit(compressor, train, validation, model=model)
        trained = model.get_layer("translator_conv").get_weights()[0].reshape(fitted.shape)
        assert np.abs(trained - fitted).max() > 1e-3
        for name, weights in before.items():
            for expected, found in zip(weights, model.get_layer(name).get_weights(), strict=True):
                np.testing.assert_array_equal(found, expected)
    assert (train.read, validation.read) == (48, 24)


@pytest.mark.parametrize("one_hot", [False, True])
def test_a_shortlist_holds_what_promises_most(residual, labelled, one_hot):
    sets = [labelled(48), labelled(24, seed=1)]
    if one_hot:
        sets = [(x, keras.ops.one_hot(y, 3).numpy()) for x, y in sets]
    train, validation = (Data(*pair) for pair in sets)
    compressor = hypermodel(residual, connections="all", tau=0.0)
    everything = compressor.connections
    compressor.narrow_to(3, train.dataset, validation.dataset)

    # Where accuracy does not count, the smallest network of each family promises most.
    def smallest(kind: Kind) -> str:
        family = [connection for connection in everything if connection.kind is kind]
        return str(min(family, key=lambda c: counted_costs(residual, c, 3, tail_units=128)["parameters"]))

    kept = [str(connection) for connection in compressor.connections]
    assert kept == [smallest(kind) for kind in Kind]
    assert compressor.translators is not None


@pytest.mark.slow
def test_a_shortlist_costs_one_pass_that_trials_use(residual, bank, train, validation):
    compressor = hypermodel(residual, translators=bank)
    compressor.narrow_to(1, train.dataset, validation.dataset)
    (connection, *_) = compressor.connections
    fit(compressor, train, validation, hp=fixed(str(connection)))
    assert (train.read, validation.read) == (48, 24)


def test_a_translator_missing_from_a_shortlist_is_told_as_without_one(residual, bank, train, validation):
    some = TranslatorBank.for_backbone(residual, {CUTS[0]: bank.translators[CUTS[0]]})
    compressor = hypermodel(residual, translators=some)
    compressor.narrow_to(3, train.dataset, validation.dataset)
    with pytest.raises(CompressorError, match="no translator for stem_relu->last"):
        compressor.build(fixed(CUTS[1]))


def test_an_empty_shortlist_is_refused(residual, bank, train, validation):
    with pytest.raises(CompressorError, match="shortlist is 0: choose 1 connection or more"):
        hypermodel(residual, translators=bank).narrow_to(0, train.dataset, validation.dataset)


def test_a_subclass_with_a_head_of_its_own_ranks_by_the_same_objective(residual, bank):
    class OwnHead(WithBuild):
        def build(self, hp):
            model = self.head(self.create_backbone(hp))
            model.compile("sgd", SPARSE, metrics=["accuracy", self.objective(model)])
            return model

        def head(self, backbone):
            x = layers.GlobalAveragePooling2D()(backbone.output)
            return keras.Model(backbone.inputs, layers.Dense(3, activation="softmax")(x))

    compressor = hypermodel(residual, OwnHead, translators=bank, cost="macs", max_cost=1e6, budgets={"bytes": 1})
    metric = compressor.objective(compressor.build(fixed()))
    assert metric.penalty == 1
    assert metric.compression_rate == 1 - compressor.costs(compressor.build(fixed()))["macs"] / 1e6


# The cached way and the plain way


def both_ways(residual, bank, make, **arguments):
    """Trains the same model in both ways on the same data, in the same order."""
    outcome = []
    for cache in (True, False):
        compressor = hypermodel(residual, translators=bank, cache_features=cache)
        hp = arguments.get("hp") or fixed()
        keras.utils.set_random_seed(7)
        model = compressor.build(hp)
        model.compile(keras.optimizers.Adam(0.05), arguments.get("loss", SPARSE), metrics=["accuracy"])
        data, further = make()
        history = compressor.fit(hp, model, *data, shuffle=False, verbose=0, **{"epochs": 2, **further})
        outcome.append((model, history.history))
    return outcome


def assert_alike(outcome) -> None:
    (cached, cached_history), (plain, plain_history) = outcome
    assert set(cached_history) == set(plain_history)
    for name in set(plain_history) - {"seconds", "examples"}:
        # An accuracy may differ by one image on the edge.
        limit = 0.05 if "acc" in name else 0.01
        np.testing.assert_allclose(cached_history[name], plain_history[name], atol=limit)
    for mine, theirs in zip(cached.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=0.01)


FORMS = {
    "data sets": lambda x, y, v, w: (
        (tf.data.Dataset.from_tensor_slices((x, y)).batch(12),),
        {"validation_data": tf.data.Dataset.from_tensor_slices((v, w)).batch(12)},
    ),
    "arrays": lambda x, y, v, w: ((x, y), {"validation_data": (v, w), "batch_size": 12}),
    "tensors": lambda x, y, v, w: ((tf.constant(x), tf.constant(y)), {"batch_size": 12}),
    "sample weights": lambda x, y, v, w: (
        (tf.data.Dataset.from_tensor_slices((x, y, np.linspace(0, 2, len(y)))).batch(12),),
        {"validation_data": tf.data.Dataset.from_tensor_slices((v, w, w + 1.0)).batch(12)},
    ),
    "class weights": lambda x, y, v, w: (
        (x, y),
        {"validation_data": (v, w), "batch_size": 12, "class_weight": {0: 3.0, 1: 0.1, 2: 1.0}},
    ),
    # With the batch size that Keras takes where none is given.
    "a later start": lambda x, y, v, w: ((x, y), {"validation_data": (v, w), "initial_epoch": 1, "epochs": 3}),
    # Which Keras alone understands.
    "validation split": lambda x, y, v, w: ((x, y), {"validation_split": 0.25, "batch_size": 12}),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_both_ways_train_the_same(residual, bank, labelled, form):
    arrays = (*labelled(48), *labelled(24, seed=1))
    outcome = both_ways(residual, bank, lambda: FORMS[form](*arrays))
    assert_alike(outcome)
    assert np.ptp(outcome[0][1]["loss"]) > 0.01  # it did learn


@pytest.mark.slow
@pytest.mark.parametrize("connection", CUTS[1:])
def test_both_ways_train_the_same_for_every_connection(residual, bank, labelled, connection):
    arrays = (*labelled(48), *labelled(24, seed=1))
    hp = fixed(connection)
    assert_alike(both_ways(residual, bank, lambda: FORMS["arrays"](*arrays), hp=hp))


@pytest.mark.slow
def test_both_ways_train_the_same_on_one_hot_labels(residual, bank, labelled, traced):
    (x, y), (v, w) = labelled(48), labelled(24, seed=1)
    one_hot = x, np.eye(3)[y], v, np.eye(3)[w]
    outcome = both_ways(residual, bank, lambda: FORMS["data sets"](*one_hot), loss="categorical_crossentropy")
    assert_alike(outcome)


@pytest.mark.slow
def test_arrays_are_read_once_for_all_trials(residual, bank, labelled, monkeypatch):
    passes = []
    predict = keras.Model.predict_on_batch
    monkeypatch.setattr(keras.Model, "predict_on_batch", lambda self, x: passes.append(len(x)) or predict(self, x))
    compressor = hypermodel(residual, translators=bank)
    x, y = labelled(24)
    for connection in CUTS:
        hp = fixed(connection)
        compressor.fit(hp, compressor.build(hp), x, y, validation_data=(x, y), epochs=2, verbose=0)
    assert sum(passes) == 24


@pytest.mark.slow
def test_released_features_are_computed_anew(residual, bank, train, validation):
    compressor = hypermodel(residual, translators=bank)
    compressor.build(fixed())  # the first build draws more numbers than later ones
    losses = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        _, history = fit(compressor, train, validation)
        losses.append(history.history["loss"])
        compressor.release_features()
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert (train.read, validation.read) == (2 * 48, 2 * 24)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "cached"), [({}, True), ({"dropout": 0.5}, True), ({"cache_features": False}, False)]
)
def test_a_frozen_network_is_cached_unless_told_not_to(residual, bank, train, validation, changed, cached):
    fit(hypermodel(residual, translators=bank, **changed), train, validation)
    assert was_cached(train, validation) == cached


# Subclasses with a build() of their own


class WithBuild(HyperCompressor):
    """Whose model is made by `head(backbone)`, and compiled as published."""

    def head(self, backbone: keras.Model) -> keras.Model:
        raise NotImplementedError

    def build(self, hp: kt.HyperParameters) -> keras.Model:
        backbone = self.create_backbone(hp)
        backbone.trainable = False
        model = self.head(backbone)
        model.compile(
            keras.optimizers.SGD(hp.Float("lr", 0.01, 0.1)),
            SPARSE,
            metrics=["accuracy", AccuracyCompression(self.compression(model), self.tau)],
        )
        return model


class Flat(WithBuild):
    def head(self, backbone):
        return attach_head(backbone, 3)


class NoisyHead(WithBuild):
    def head(self, backbone):
        x = layers.GaussianNoise(0.1)(layers.GlobalAveragePooling2D()(backbone.output))
        return keras.Model(backbone.inputs, layers.Dense(3, activation="softmax")(x))


class Operations(WithBuild):
    def head(self, backbone):
        x = layers.GlobalAveragePooling2D()(backbone.output * 2.0)
        return keras.Model(backbone.inputs, keras.ops.softmax(layers.Dense(3)(x)))


class Convolutional(WithBuild):
    def head(self, backbone):
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(5, 1)(backbone.output))
        return keras.Model(backbone.inputs, layers.Dense(3, activation="softmax")(x))


class Unfrozen(WithBuild):
    def head(self, backbone):
        backbone.trainable = True
        return attach_head(backbone, 3)


class OpenTail(WithBuild):
    def head(self, backbone):
        backbone.get_layer("add_1").trainable = True
        backbone.get_layer("stem").trainable = True
        return attach_head(backbone, 3)


class Nested(WithBuild):
    def head(self, backbone):
        images = keras.Input((16, 16, 3))
        x = layers.GlobalAveragePooling2D()(backbone(images, training=False))
        return keras.Model(images, layers.Dense(3, activation="softmax")(x))


class NestedSequential(WithBuild):
    def head(self, backbone):
        head = [layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
        return keras.Sequential([keras.Input((16, 16, 3)), backbone, *head])


class Augmented(WithBuild):
    def head(self, backbone):
        images = keras.Input((16, 16, 3))
        x = backbone(layers.RandomFlip()(images), training=False)
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(images, layers.Dense(3, activation="softmax")(x))


class AugmentedBehindTheCut(WithBuild):
    def head(self, backbone):
        noise = keras.Sequential([keras.Input(backbone.output.shape[1:]), layers.RandomFlip()])
        x = layers.GlobalAveragePooling2D()(noise(backbone.output))
        return keras.Model(backbone.inputs, layers.Dense(3, activation="softmax")(x))


def own_loss(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


class OwnLoss(Flat):
    def build(self, hp):
        model = super().build(hp)
        model.compile("sgd", own_loss, metrics=["accuracy"])
        return model


class OwnStep(WithBuild):
    def head(self, backbone):
        class Model(keras.Model):
            steps = 0

            def train_step(self, data):
                Model.steps += 1
                return super().train_step(data)

        x = layers.GlobalAveragePooling2D()(backbone.output)
        return Model(backbone.inputs, layers.Dense(3, activation="softmax")(x))


class Subclassed(WithBuild):
    def head(self, backbone):
        class Model(keras.Model):
            def __init__(self):
                super().__init__()
                self.backbone, self.gap = backbone, layers.GlobalAveragePooling2D()
                self.top = layers.Dense(3, activation="softmax")

            def call(self, x):
                return self.top(self.gap(self.backbone(x, training=False)))

        model = Model()
        model.build((None, 16, 16, 3))
        return model


CACHED = [Flat, NoisyHead, Operations, Convolutional, AugmentedBehindTheCut]
PLAIN = [Unfrozen, OpenTail, Nested, NestedSequential, Augmented, OwnLoss, OwnStep, Subclassed]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*CACHED, *PLAIN])
def test_a_subclass_trains_in_the_way_that_is_right_for_it(residual, bank, train, validation, kind):
    keras.utils.set_random_seed(0)
    compressor = hypermodel(residual, kind, translators=bank)
    model, history = fit(compressor, train, validation, hp=fixed(lr=0.1))
    assert was_cached(train, validation) == (kind in CACHED)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert history.history["parameters"] == [model.count_params()] * 3
    if kind is OwnStep:
        assert type(model).steps > 0
    if kind is Unfrozen:
        assert not np.array_equal(model.get_layer("stem").kernel, residual.get_layer("stem").kernel)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [NestedSequential, Augmented])
def test_a_nested_subnetwork_gets_fitted_translators_too(residual, bank, train, validation, kind):
    compressor = hypermodel(residual, kind)
    model, _ = fit(compressor, train, validation, epochs=1)
    (nested,) = (layer for layer in model.layers if isinstance(layer, keras.Model))
    conv = nested.get_layer("translator_conv")
    np.testing.assert_allclose(conv.get_weights()[0][0, 0], bank.translators[CUTS[0]].kernel, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_translators_are_fitted_on_what_reaches_the_backbone(residual, train):
    class InBytes(WithBuild):
        def head(self, backbone):
            images = keras.Input((16, 16, 3))
            x = backbone(layers.Rescaling(1 / 128, -1)(images), training=False)
            x = layers.GlobalAveragePooling2D()(x)
            return keras.Model(images, layers.Dense(3, activation="softmax")(x))

    exact = (train.x * 128).round() / 128 + 0.0  # survives the way there and back to the last bit
    in_bytes = Data((exact + 1) * 128, train.y)
    compressor = hypermodel(residual, InBytes)
    fit(compressor, in_bytes, in_bytes, epochs=1)
    wanted = fit_translators(residual, compressor.connections, [exact])
    for name, translator in compressor.translators.translators.items():
        np.testing.assert_allclose(translator.kernel, wanted.translators[name].kernel, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_subclass_that_is_searched(residual, train, validation, tmp_path):
    tuner = kt.RandomSearch(hypermodel(residual, Nested), OBJECTIVE, max_trials=1, directory=tmp_path)
    tuner.search(train.dataset, validation_data=validation.dataset, verbose=0, epochs=2)
    accuracy = tuner.oracle.get_best_trials(1)[0].metrics.get_best_value("val_accuracy")
    answers = tuner.get_best_models(1)[0](validation.x).numpy().argmax(1)
    assert np.mean(answers == validation.y) == pytest.approx(accuracy)


def test_a_model_without_the_subnetwork_is_told(residual, train, validation):
    class Stranger(HyperCompressor):
        def build(self, hp):
            self.connection(hp)
            model = keras.Sequential([keras.Input((16, 16, 3)), layers.Flatten(), layers.Dense(3)])
            model.compile("sgd", SPARSE)
            return model

    with pytest.raises(CompressorError, match="does not contain layer 'add_1'.*create_backbone"):
        fit(hypermodel(residual, Stranger), train, validation)


# Callbacks


def test_callbacks_see_the_whole_model(residual, bank, train, validation):
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((self.model, epoch, set(logs), float(self.model.optimizer.learning_rate)))

    model, _ = fit(hypermodel(residual, translators=bank), train, validation, callbacks=[Look()], epochs=2)
    assert [(epoch, rate) for _, epoch, _, rate in seen] == [(0, pytest.approx(0.05)), (1, pytest.approx(0.05))]
    assert all(whole is model for whole, *_ in seen)
    assert {"val_acc_comp", "val_loss"} <= seen[0][2]


@pytest.mark.slow
def test_early_stopping_stops_and_gives_the_best_weights_back(residual, bank, train, validation):
    values = []

    class Note(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            values.append((logs["val_loss"], self.model.get_weights()))

    stop = keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    model, history = fit(
        hypermodel(residual, translators=bank),
        train,
        validation,
        hp=fixed(lr=3.0),  # so large that it soon gets worse
        epochs=50,
        callbacks=[Note(), stop],
    )
    assert len(history.epoch) == len(values) < 50
    _, best = min(values, key=lambda value: value[0])
    for mine, theirs in zip(model.get_weights(), best, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    # Stopped once, it trains again when it is fitted again.
    assert len(fit(hypermodel(residual, translators=bank), train, validation, model=model)[1].epoch) == 3


@pytest.mark.slow
def test_a_learning_rate_that_is_reduced_is_reduced(residual, bank, train, validation):
    heads = []

    class Note(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            heads.append(self.model.get_layer("classifier").get_weights()[0])

    reduce = keras.callbacks.ReduceLROnPlateau("val_loss", factor=1e-6, patience=1, min_delta=100)
    model, history = fit(
        hypermodel(residual, translators=bank), train, validation, callbacks=[reduce, Note()], epochs=4
    )
    np.testing.assert_allclose(history.history["learning_rate"], [5e-2, 5e-2, 5e-8, 5e-14])
    assert float(model.optimizer.learning_rate) < 1e-16
    steps = [np.abs(later - sooner).max() for sooner, later in itertools.pairwise(heads)]
    assert steps[0] > 1e-2
    assert steps[1] < 1e-5


@pytest.mark.slow
def test_checkpoints_hold_the_whole_model(residual, bank, train, validation, tmp_path):
    compressor = hypermodel(residual, translators=bank)
    checkpoints = [
        keras.callbacks.ModelCheckpoint(tmp_path / "a.weights.h5", save_weights_only=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "a.keras"),
    ]
    model, _ = fit(compressor, train, validation, callbacks=checkpoints)
    rebuilt = compressor.build(fixed())
    rebuilt.load_weights(tmp_path / "a.weights.h5")
    whole = keras.models.load_model(tmp_path / "a.keras", safe_mode=True)
    wanted = model.predict(validation.x, verbose=0)
    for back in (rebuilt, whole):
        np.testing.assert_allclose(back.predict(validation.x, verbose=0), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_the_model_is_an_ordinary_one_afterwards(residual, bank, train, validation):
    model, history = fit(hypermodel(residual, translators=bank), train, validation)
    values = model.evaluate(validation.x, validation.y, verbose=0, return_dict=True)
    assert values["val_acc_comp".removeprefix("val_")] == pytest.approx(history.history["val_acc_comp"][-1], abs=0.05)
    assert values["loss"] == pytest.approx(history.history["val_loss"][-1], abs=0.02)
    model.fit(train.x, train.y, verbose=0)
    assert model.predict(train.x[:2], verbose=0).shape == (2, 3)


# Bad input


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tau": -0.1}, "tau is -0.1: choose a weight from 0 to 1"),
        ({"tau": float("nan")}, "tau is nan: choose a weight"),
        ({"num_classes": 1}, "num_classes is 1: a classifier needs at least 2 classes"),
        ({"max_parameters": 0}, "max_parameters is 0: choose a number of parameters"),
        ({"cost": "mac"}, "unknown cost 'mac'. Did you mean 'macs'"),
        ({"cost": "latency"}, "the cost latency needs max_cost, the ms of the uncompressed classifier"),
        ({"cost": "bytes", "max_cost": 0}, "max_cost is 0: choose a number of bytes above 0"),
        ({"budgets": {"bytes": -1}}, "the budget of bytes is -1"),
    ],
)
def test_arguments_out_of_range_are_refused(changed, message):
    with pytest.raises(CompressorError, match=message):
        HyperCompressedMobileNetV2(**{"max_parameters": 1e6, "num_classes": 3, **changed})


def test_a_backbone_is_needed(residual):
    with pytest.raises(CompressorError, match="needs a backbone"):
        HyperCompressor(1e6, 3)
    with pytest.raises(CompressorError, match="Did you mean 'add_1'"):
        HyperCompressor(1e6, 3, backbone=residual, connections=["ad_1->last"]).build(kt.HyperParameters())


def endless(x: np.ndarray, y: np.ndarray):
    while True:
        yield x, y


def test_data_that_cannot_be_read_twice_needs_translators(residual, bank, labelled):
    x, y = labelled(12)
    hp = fixed()
    compressor = hypermodel(residual)
    for data in (endless(x, y), tf.data.Dataset.from_tensors((x, y)).repeat()):
        with pytest.raises(CompressorError, match="cannot be fitted on this kind of training data"):
            compressor.fit(hp, compressor.build(hp), data, steps_per_epoch=2, verbose=0)
    compressor = hypermodel(residual, translators=bank)
    for data in (endless(x, y), tf.data.Dataset.from_tensors((x, y)).repeat()):
        history = compressor.fit(hp, compressor.build(hp), data, steps_per_epoch=2, epochs=2, verbose=0)
        assert history.epoch == [0, 1]


def test_empty_data_is_refused(residual, bank, labelled):
    x, y = labelled(4)
    empty = tf.data.Dataset.from_tensor_slices((x, y)).batch(4).take(0)
    hp = fixed()
    for translators in (None, bank):
        compressor = hypermodel(residual, translators=translators)
        with pytest.raises(CompressorError, match="dataset is empty"):
            compressor.fit(hp, compressor.build(hp), empty, verbose=0)


def test_the_bank_may_hold_more_than_is_searched(residual):
    rng = np.random.default_rng(0)
    extra = Translator(rng.normal(size=(6, 8)).astype(np.float32), np.zeros(8, np.float32), 0.5)
    wide = TranslatorBank.for_backbone(residual, dict.fromkeys(CUTS[:2], extra))
    compressor = hypermodel(residual, translators=wide, connections=CUTS[:1])
    kernel = compressor.build(fixed()).get_layer("translator_conv").get_weights()[0]
    np.testing.assert_array_equal(kernel[0, 0], extra.kernel)
    fresh = create_submodel(residual, CUTS[0]).get_layer("translator_conv").get_weights()[0]
    assert not np.array_equal(fresh, kernel)


# Tails


@pytest.mark.slow
def test_a_tail_is_trained_on_cached_activations_like_in_the_plain_way(residual, bank, labelled):
    arrays = (*labelled(48), *labelled(24, seed=1))
    outcome = []
    for cache in (True, False):
        compressor = hypermodel(
            residual, translators=bank, cache_features=cache, connections=["add_1->tail"], tail_units=[6]
        )
        keras.utils.set_random_seed(7)
        hp = fixed("add_1->tail")
        model = compressor.build(hp)
        before = model.get_layer("translator_conv").get_weights()[0]
        x, y, v, w = arrays
        history = compressor.fit(
            hp, model, x, y, validation_data=(v, w), batch_size=12, epochs=2, shuffle=False, verbose=0
        )
        assert np.abs(model.get_layer("translator_conv").get_weights()[0] - before).max() > 0.01
        outcome.append((model, history.history))
    assert_alike(outcome)


@pytest.mark.slow
def test_a_tail_reads_the_images_once_and_leaves_what_is_in_front_of_it(residual, bank, train, validation):
    compressor = hypermodel(residual, translators=bank, connections=["stem_relu->tail", "add_1->last"])
    model, _ = fit(compressor, train, validation, hp=fixed("stem_relu->tail"))
    assert was_cached(train, validation)
    kept, original = model.get_layer("stem"), residual.get_layer("stem")
    for mine, theirs in zip(kept.get_weights(), original.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_width_of_a_tail_is_searched_where_there_is_a_tail(residual, bank):
    compressor = hypermodel(residual, translators=bank, connections=["add_1->tail", "add_1->last"], tail_units=[4, 9])
    hp = kt.HyperParameters()
    narrow = compressor.build(hp)
    assert narrow.get_layer("translator_conv").filters == 4
    hp.values["tail_units"] = 9
    assert compressor.build(hp).get_layer("translator_conv").filters == 9
    hp = kt.HyperParameters()
    hp.Choice("translator", ["add_1->tail", "add_1->last"])
    hp.values["translator"] = "add_1->last"
    compressor.build(hp)
    assert "tail_units" not in hp.values


# What a search builds


@pytest.mark.parametrize("cut", ["add_1->last", "add_1->head", "add_1->tail"])
def test_a_trials_model_is_that_of_build_and_shares_what_is_frozen(residual, bank, cut):
    compressor = hypermodel(residual, connections=[cut], translators=bank if cut.endswith("last") else None)
    hp = fixed(cut)
    keras.utils.set_random_seed(0)
    own = compressor.build(hp)
    one, other = compressor.build_trial(hp), compressor.build_trial(hp)
    assert [(layer.name, layer.trainable) for layer in one.layers] == [(x.name, x.trainable) for x in own.layers]
    frozen = [layer.name for layer in one.layers if layer.weights and not layer.trainable]
    assert "conv_1" in frozen
    known = {layer.name for layer in residual.layers}
    for name in frozen:
        assert one.get_layer(name) is other.get_layer(name)
        assert name not in known or one.get_layer(name) is not residual.get_layer(name)
        for mine, theirs in zip(one.get_layer(name).get_weights(), own.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert one.get_layer("classifier") is not other.get_layer("classifier")
    assert all(layer.trainable for layer in residual.layers)


def test_a_subclass_that_builds_by_itself_is_built_so_in_a_search(residual):
    class Own(HyperCompressor):
        def create_backbone(self, hp):
            raise NotImplementedError("mine")

    with pytest.raises(NotImplementedError, match="mine"):
        hypermodel(residual, kind=Own).build_trial(fixed())
