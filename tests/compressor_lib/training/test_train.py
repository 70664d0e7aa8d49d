from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_training import CLASSES, SIZE, STILL, data, network, options, same

from compressor_lib.errors import CompressorError
from compressor_lib.support.progress import progress_in
from compressor_lib.training.learning_rate import LearningRate
from compressor_lib.training.options import Augmentation, Distillation, TrainingOptions
from compressor_lib.training.train import train


def weights_of(model: keras.Model, layer: str) -> list[np.ndarray]:
    return model.get_layer(layer).get_weights()


def accuracy(model: keras.Model, dataset: tf.data.Dataset) -> float:
    hits = [model(tf.cast(x, tf.float32), training=False).numpy().argmax(1) == y for x, y in dataset]
    return float(np.concatenate(hits).mean())


@pytest.mark.slow
def test_it_learns_and_reports_both_phases(caplog):
    keras.utils.set_random_seed(0)
    model = network()
    with caplog.at_level(logging.INFO, "compressor_lib.training"):
        history = train(
            model,
            data(),
            data(24, seed=1),
            options(
                head_epochs=2,
                epochs=6,
                learning_rate=0.05,
                batch_norm="train",
                augmentation=Augmentation(),
            ),
        )
    names = {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert set(history) == {*names, "best_epoch"}
    assert all(len(history[name]) == 8 for name in names)
    assert max(history["val_accuracy"]) > 0.8
    lines = [record.message for record in caplog.records if record.name.startswith("compressor_lib.training")]
    assert len(lines) == 8
    assert lines[1].startswith("epoch 2/8: loss ")
    assert lines[1].endswith("(head)")
    assert lines[2] == (
        f"epoch 3/8: loss {history['loss'][2]:.3f}, val_accuracy {history['val_accuracy'][2]:.3f} (fine-tuning)"
    )


def test_progress_is_logged_within_an_epoch(caplog):
    with caplog.at_level(logging.DEBUG, "compressor_lib.training"):
        train(network(), data(), data(24, seed=1), options(head_epochs=0, epochs=2))
    told = [progress for record in caplog.records if (progress := progress_in(record))]
    steps = [progress.step for progress in told]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (0, 2)
    assert {progress.total for progress in told} == {2}
    assert any(0 < step < 1 for step in steps)


def test_head_phase_does_not_change_the_backbone():
    model = network()
    before = {name: weights_of(model, name) for name in ("stem", "stem_bn", "classifier")}
    train(model, data(), data(), options(epochs=0))
    assert same(before["stem"], weights_of(model, "stem"))
    assert same(before["stem_bn"], weights_of(model, "stem_bn"))
    assert not same(before["classifier"], weights_of(model, "classifier"))


def test_frozen_batch_norm_does_not_change():
    model = network()
    stem, norm = weights_of(model, "stem"), weights_of(model, "stem_bn")
    train(model, data(), data(), options(head_epochs=0))
    assert same(norm, weights_of(model, "stem_bn"))
    assert not same(stem, weights_of(model, "stem"))


def test_trained_batch_norm_forgets_its_first_averages_within_an_epoch():
    keras.utils.set_random_seed(0)
    model = network()
    train(model, data(), data(), options(head_epochs=0, learning_rate=1e-9, batch_norm="train"))
    images = np.concatenate([x for x, _ in data()]).astype(np.float32)
    seen = model.get_layer("stem")(model.get_layer("preprocess")(images)).numpy()
    norm = model.get_layer("stem_bn")
    # At 0.999, six steps would have left 99.4 % of the first averages, 0 and 1.
    np.testing.assert_allclose(norm.moving_mean, seen.mean((0, 1, 2)), atol=0.1)
    np.testing.assert_allclose(norm.moving_variance, seen.var((0, 1, 2)), atol=0.1)
    assert norm.momentum == 0.999


class Rates(keras.callbacks.Callback):
    """Notes the rate of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.noted.append(float(self.model.optimizer.learning_rate))


def test_learning_rate_warms_up_for_an_epoch_and_falls_to_zero():
    rates = Rates()
    train(network(), data(), data(), options(head_epochs=0, epochs=6, learning_rate=0.01), callbacks=[rates])
    steps = 6  # an epoch
    assert len(rates.noted) == 6 * steps
    assert rates.noted[:steps] == sorted(rates.noted[:steps])
    assert rates.noted[0] < 0.005
    assert max(rates.noted) == pytest.approx(0.01, rel=0.05)
    assert rates.noted[steps:] == sorted(rates.noted[steps:], reverse=True)
    assert rates.noted[-1] < 0.0005


class Spoil(keras.callbacks.Callback):
    """Makes the answers blind to the image before each evaluation, from an epoch on."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch + 1

    def on_test_begin(self, logs: dict | None = None) -> None:
        if self.epoch >= self.first:
            classifier = self.model.student.get_layer("classifier")
            classifier.kernel.assign(0 * classifier.kernel)


@pytest.mark.slow
@pytest.mark.parametrize("good", [2, 4])
def test_the_best_epoch_of_both_phases_is_kept(good):
    keras.utils.set_random_seed(0)
    model = network()
    evaluation = data(24, seed=1)
    history = train(
        model,
        data(),
        evaluation,
        options(head_epochs=3, epochs=2, head_learning_rate=0.1, learning_rate=0.1),
        callbacks=[Spoil(good + 1)],
    )
    best = int(history["best_epoch"][0])
    scores = list(zip(history["val_accuracy"], history["val_loss"], strict=True))
    assert best == 1 + min(range(5), key=lambda i: (-scores[i][0], scores[i][1]))
    assert best <= good
    assert scores[-1][0] < scores[best - 1][0]
    assert accuracy(model, evaluation) == pytest.approx(scores[best - 1][0])
    loss, _ = model.evaluate(evaluation, verbose=0)
    assert loss == pytest.approx(scores[best - 1][1], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("patience", "epochs", "fine_tuned"), [(2, 9, 6), (None, 9, 9), (None, 40, 18)])
def test_patience_ends_a_phase_but_not_the_next(patience, epochs, fine_tuned):
    """The whole network is trained once more for as long as it took to stall, while the rate falls."""
    history = train(
        network(),
        data(16),
        data(8),
        # Steps too small for float32: no epoch is better than the first of its phase.
        options(head_epochs=9, epochs=epochs, patience=patience, head_learning_rate=1e-30, learning_rate=1e-30),
    )
    assert len(history["loss"]) == 1 + (patience or 5) + fine_tuned
    assert history["best_epoch"] == [1.0]


class _Rates(keras.callbacks.Callback):
    """Notes the learning rate of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.rates: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        del batch, logs
        self.rates.append(float(self.model.optimizer.learning_rate))


@pytest.mark.slow
def test_the_rate_of_the_whole_network_rises_stays_and_falls():
    rates = _Rates()
    chosen = options(head_epochs=0, epochs=4, learning_rate=0.1, patience=9)
    train(network(), data(64), data(8), chosen, callbacks=[rates])
    expected = LearningRate(0.1, epoch=len(rates.rates) // 4, epochs=4)
    assert rates.rates == pytest.approx([expected.at(step) for step in range(len(rates.rates))])


@pytest.mark.slow
def test_trained_model_is_trainable_and_can_be_saved(tmp_path):
    model = network()
    train(model, data(), data(), options())
    assert all(layer.trainable for layer in model.layers)
    assert set(model.evaluate(data(), verbose=0, return_dict=True)) == {"loss", "accuracy"}
    model.save(tmp_path / "model.keras")
    back = keras.models.load_model(tmp_path / "model.keras")
    # Neither augmentation nor teacher has come along.
    assert [type(layer) for layer in back.layers] == [type(layer) for layer in network().layers]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights():
    def run(seed: int) -> list[np.ndarray]:
        keras.utils.set_random_seed(seed)
        model = network()
        train(model, data(), data(), options(augmentation=Augmentation()))
        return model.get_weights()

    for one, other in zip(run(5), run(5), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    assert not same(run(5), run(6))


@pytest.mark.slow
def test_augmentation_is_used():
    def loss(augmentation: Augmentation) -> float:
        keras.utils.set_random_seed(0)
        return train(network(), data(), data(), options(epochs=0, augmentation=augmentation))["loss"][0]

    assert abs(loss(STILL) - loss(Augmentation())) > 1e-5


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("weight", "temperature"), [(0.0, 2.0), (0.5, 2.0), (1.0, 4.0)])
def test_the_loss_is_the_published_formula(smoothing, weight, temperature):
    keras.utils.set_random_seed(0)
    student, teacher = network(), network()
    for model in (student, teacher):  # opinions strong enough to tell temperatures apart
        model.get_layer("classifier").kernel.assign(10 * model.get_layer("classifier").kernel)
    before = teacher.get_weights()
    x, y = next(iter(data(batch=16)))
    p, t = (np.asarray(m(tf.cast(x, tf.float32)), np.float64) for m in (student, teacher))
    # With frozen batch norm, the student's training answers are its inference answers.
    history = train(
        student,
        tf.data.Dataset.from_tensors((x, y)),
        tf.data.Dataset.from_tensors((x, y)),
        options(
            epochs=0,
            label_smoothing=smoothing,
            distillation=Distillation(weight, temperature),
        ),
        teacher=teacher,
    )
    target = np.eye(CLASSES)[y.numpy()] * (1 - smoothing) + smoothing / CLASSES
    labels = -(target * np.log(p)).sum(1)
    soft_t, soft_p = softmax(np.log(t) / temperature), softmax(np.log(p) / temperature)
    distance = (soft_t * np.log(soft_t / soft_p)).sum(1)
    assert temperature**2 * distance.mean() > 0.05
    expected = ((1 - weight) * labels + weight * temperature**2 * distance).mean()
    assert history["loss"][0] == pytest.approx(expected, rel=1e-3)  # the teacher's are kept in half precision
    assert same(before, teacher.get_weights())


def test_pure_distillation_approaches_the_teacher():
    keras.utils.set_random_seed(0)
    student, teacher = network(), network()
    history = train(
        student,
        data(),
        data(),
        options(head_epochs=8, epochs=0, head_learning_rate=0.05, distillation=Distillation(1.0)),
        teacher=teacher,
    )
    assert history["loss"][-1] < 0.5 * history["loss"][0]


def test_regularisation_is_part_of_the_loss():
    keras.utils.set_random_seed(0)
    model = network()
    plain = train(model, data(), data(), options(epochs=0, head_learning_rate=1e-30))
    model.get_layer("classifier").kernel.regularizer = keras.regularizers.L2(1.0)
    extra = float(np.square(model.get_layer("classifier").get_weights()[0]).sum())
    more = train(model, data(), data(), options(epochs=0, head_learning_rate=1e-30))
    assert more["loss"][0] == pytest.approx(plain["loss"][0] + extra, rel=1e-4)


def test_additional_callbacks_run_in_both_phases():
    epochs: list[int] = []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    train(network(), data(), data(), options(head_epochs=2, epochs=2), callbacks=[note])
    assert epochs == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_dataset_of_unknown_length_is_counted():
    unknown_length = data().filter(lambda x, y: True)
    assert unknown_length.cardinality() == tf.data.UNKNOWN_CARDINALITY
    assert len(train(network(), unknown_length, data(), options())["loss"]) == 2


@pytest.mark.slow
def test_two_devices_train_as_one_does():
    script = Path(__file__).with_name("on_two_devices.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    assert results["devices"] == 2
    assert "training on 2 devices" in done.stderr
    for batch_norm in ("frozen", "train"):
        one, two = (results[f"{batch_norm} {strategy}"] for strategy in ("none", "mirrored"))
        for name, values in one["history"].items():
            np.testing.assert_allclose(two["history"][name], values, rtol=1e-3, err_msg=f"{batch_norm} {name}")
        for mine, wanted in zip(two["weights"], one["weights"], strict=True):
            np.testing.assert_allclose(mine, wanted, atol=1e-3, err_msg=batch_norm)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda: (network(), data().take(0), data(), options()), "training dataset is empty"),
        (lambda: (network(), data(), data().take(0), options()), "validation dataset is empty"),
        (lambda: (network(), data().repeat(), data(), options()), "is infinite"),
        (
            lambda: (network(), data(), data(), options(distillation=Distillation())),
            "needs a teacher",
        ),
    ],
)
def test_bad_arguments_are_rejected(arguments, message):
    with pytest.raises(CompressorError, match=message):
        train(*arguments())


def test_teacher_of_other_classes_is_rejected():
    with pytest.raises(CompressorError, match="output_shape"):
        train(
            network(),
            data(),
            data(),
            options(distillation=Distillation()),
            teacher=network(CLASSES + 1),
        )


def test_head_phase_ignores_layer_names_of_the_backbone():
    """EfficientNet's last convolution is called `top_conv`."""
    model = network()
    renamed = keras.models.clone_model(
        model,
        clone_function=lambda x: type(x).from_config({**x.get_config(), "name": x.name.replace("stem", "top_conv")}),
    )
    before = renamed.get_layer("top_conv").get_weights()[0]
    head = renamed.get_layer("classifier").get_weights()[0]
    train(renamed, data(), data(), options(epochs=0))
    np.testing.assert_array_equal(renamed.get_layer("top_conv").get_weights()[0], before)
    assert np.abs(renamed.get_layer("classifier").get_weights()[0] - head).max() > 0


def test_head_phase_rejects_model_without_feature_map():
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Flatten()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax", name="out")(x))
    with pytest.raises(CompressorError, match="no feature map"):
        train(model, data(), data(), options())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("head_epochs", -1),
        ("epochs", -1),
        ("batch_size", 0),
        ("patience", 0),
        ("head_learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("label_smoothing", 1.0),
    ],
)
def test_options_out_of_range_are_rejected(field, value):
    with pytest.raises(CompressorError, match=f"^{field} is {value}"):
        TrainingOptions(**{field: value})


def test_other_bad_options_are_rejected():
    with pytest.raises(CompressorError, match="Did you mean 'frozen'"):
        TrainingOptions(batch_norm="frosen")
    with pytest.raises(CompressorError, match="unknown strategy 'mirror'. Did you mean 'mirrored'"):
        TrainingOptions(strategy="mirror")
    with pytest.raises(CompressorError, match="both 0"):
        TrainingOptions(head_epochs=0, epochs=0)
    for distillation in (None, Distillation(weight=0.0)):
        with pytest.raises(CompressorError, match="^epochs is not set, .* but there is no teacher: set distillation"):
            TrainingOptions(epochs=None, distillation=distillation)
    with pytest.raises(CompressorError, match=r"^weight is 1\.1: it must be at most 1\."):
        Distillation(weight=1.1)
    with pytest.raises(CompressorError, match=r"^temperature is 0\.0: it must be more than 0\."):
        Distillation(temperature=0.0)


def test_class_weights_only_apply_in_training():
    keras.utils.set_random_seed(0)
    model, weights = network(), [0.5, 1.0, 4.0]
    x, y = next(iter(data(batch=16)))
    answers = np.asarray(model(tf.cast(x, tf.float32)), np.float64)
    losses = -np.log(answers[np.arange(16), y])
    whole = tf.data.Dataset.from_tensors((x, y))
    history = train(model, whole, whole, options(epochs=0, head_learning_rate=1e-30), class_weights=weights)
    assert history["loss"][0] == pytest.approx((np.take(weights, y) * losses).mean(), rel=1e-4)
    assert history["val_loss"][0] == pytest.approx(losses.mean(), rel=1e-4)


@pytest.mark.parametrize("weights", [[1.0, 2.0], [1.0, 2.0, 0.0]])
def test_wrong_class_weights_are_rejected(weights):
    with pytest.raises(CompressorError, match="give a weight above 0 for each of the 3 classes"):
        train(network(), data(), data(), options(), class_weights=weights)


class _Killed(BaseException):
    pass


class _KillAfter(keras.callbacks.Callback):
    def __init__(self, epoch: int) -> None:
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._epoch:
            raise _Killed


def _long_training(tmp_path, name: str, *callbacks) -> tuple[list[np.ndarray], dict[str, list[float]]]:
    """A training with all that is drawn at random: shuffling, augmentation, dropout."""
    keras.utils.set_random_seed(3)
    base = network()
    x = keras.layers.Dropout(0.3)(base.get_layer("top_gap").output)
    model = keras.Model(base.input, keras.layers.Dense(CLASSES, activation="softmax", name="classifier")(x))
    shuffled = data().unbatch().shuffle(48, seed=5).batch(8)
    chosen = options(head_epochs=2, epochs=3, learning_rate=0.01, batch_norm="train", augmentation=Augmentation())
    history = train(model, shuffled, data(24, seed=1), chosen, callbacks=callbacks, checkpoint=tmp_path / f"{name}.npz")
    return model.get_weights(), history


@pytest.mark.slow
@pytest.mark.survives("a training is killed between two epochs")
@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_killed_training_resumes_with_the_same_result(tmp_path, epoch):
    weights, history = _long_training(tmp_path, "whole")
    with pytest.raises(_Killed):
        _long_training(tmp_path, "cut", _KillAfter(epoch))

    class Epochs(keras.callbacks.Callback):
        seen: list[int] = []  # noqa: RUF012

        def on_epoch_begin(self, epoch, logs=None):
            self.seen.append(epoch)

    Epochs.seen.clear()
    resumed, told = _long_training(tmp_path, "cut", Epochs())
    assert Epochs.seen == list(range(epoch, 5))
    assert told == history
    assert same(resumed, weights)

    again, told = _long_training(tmp_path, "cut", _KillAfter(0))  # it has ended: nothing is trained
    assert told == history
    assert same(again, weights)


@pytest.mark.slow
@pytest.mark.survives("the checkpoint of a training is damaged")
def test_damaged_checkpoint_restarts_training(tmp_path, caplog):
    weights, history = _long_training(tmp_path, "whole")
    (tmp_path / "whole.npz").write_bytes(b"damaged")
    again, told = _long_training(tmp_path, "whole")
    assert told == history
    assert same(again, weights)
    assert "whole.npz is damaged: training restarts from the beginning" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 2])
def test_checkpoint_of_another_network_is_rejected(tmp_path, epoch):
    checkpoint, two_phases = tmp_path / "checkpoint.npz", options()
    if epoch == 1:
        with pytest.raises(_Killed):
            train(network(), data(), data(24, seed=1), two_phases, callbacks=[_KillAfter(1)], checkpoint=checkpoint)
    else:
        train(network(), data(), data(24, seed=1), two_phases, checkpoint=checkpoint)
    other = network(CLASSES + 1)
    before = other.get_weights()
    with pytest.raises(CompressorError, match=r"checkpoint '.*checkpoint\.npz' belongs to another network"):
        train(other, data(), data(24, seed=1), two_phases, checkpoint=checkpoint)
    assert same(other.get_weights(), before)


@pytest.mark.slow
def test_stalled_phase_is_not_resumed(tmp_path):
    checkpoint = tmp_path / "checkpoint.npz"
    impatient = options(head_epochs=8, epochs=2, head_learning_rate=1e-12, patience=2)
    keras.utils.set_random_seed(0)
    with pytest.raises(_Killed):
        train(network(), data(), data(24, seed=1), impatient, callbacks=[_KillAfter(3)], checkpoint=checkpoint)
    keras.utils.set_random_seed(0)
    history = train(network(), data(), data(24, seed=1), impatient, checkpoint=checkpoint)
    assert len(history["loss"]) == 5  # one that was best, two of patience, two of fine-tuning


@pytest.mark.slow
@pytest.mark.parametrize("killed_after", [2, 4])
def test_a_rate_that_falls_early_does_so_in_a_resumed_run(tmp_path, killed_after):
    checkpoint = tmp_path / "checkpoint.npz"
    impatient = options(head_epochs=0, epochs=20, learning_rate=1e-30, patience=2)
    kill = _KillAfter(killed_after)
    with pytest.raises(_Killed):
        train(network(), data(), data(24, seed=1), impatient, callbacks=[kill], checkpoint=checkpoint)
    history = train(network(), data(), data(24, seed=1), impatient, checkpoint=checkpoint)
    assert len(history["loss"]) == 6  # one that was best, two of patience, three while it falls
