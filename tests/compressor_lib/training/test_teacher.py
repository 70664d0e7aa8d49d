from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_training import CLASSES, SIZE, STILL, data, network, options, same

from compressor_lib.errors import CompressorError
from compressor_lib.training.augmentation import Augment, image_keys
from compressor_lib.training.options import Augmentation, Distillation
from compressor_lib.training.teacher import keep_predictions
from compressor_lib.training.train import train

VIEWS = 3


@pytest.fixture
def teacher() -> keras.Model:
    keras.utils.set_random_seed(1)
    return network()


class Asked(keras.layers.Layer):
    """Counts the batches that pass through it."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)

    def call(self, inputs):
        self.batches.assign_add(1)
        return inputs


def counted(teacher: keras.Model) -> tuple[keras.Model, Asked]:
    asked = Asked()
    return keras.Model(teacher.input, asked(teacher.output)), asked


def shuffled() -> tf.data.Dataset:
    return data().unbatch().shuffle(48, seed=2).batch(8)


def test_the_teacher_sees_the_view_that_the_student_sees(teacher, tmp_path):
    augment = Augment(Augmentation(), seed=4)
    kept = keep_predictions(teacher, shuffled(), augment, VIEWS, tmp_path)
    images, _ = next(iter(shuffled()))
    keys = image_keys(images)
    taught = kept.of(keys)
    assert taught.shape == (8, VIEWS, CLASSES)
    for view in range(VIEWS):
        expected = teacher(augment(tf.cast(images, tf.float32), keys, view))
        np.testing.assert_allclose(taught[:, view], expected, atol=1e-3)


def test_the_teacher_s_own_size_shows_the_same_crop(teacher, tmp_path):
    pairs = data().map(lambda x, y: ((x[:, ::2, ::2], x), y))
    augment = Augment(Augmentation(rotation=0, zoom=0, translation=0, contrast=0), seed=4)
    kept = keep_predictions(teacher, pairs, augment, VIEWS, tmp_path)
    images = np.concatenate([x for x, _ in data()])
    keys = image_keys(images[:, ::2, ::2])
    expected = teacher(augment(images.astype(np.float32), keys, 1))
    np.testing.assert_allclose(kept.of(keys)[:, 1], expected, atol=1e-3)


@pytest.mark.survives("a training is killed while its teacher predicts")
def test_complete_views_are_not_computed_again(teacher, tmp_path):
    first, asked = counted(teacher)
    whole = keep_predictions(first, data(), Augment(Augmentation()), VIEWS, tmp_path)
    assert int(asked.batches) == 6 * VIEWS
    (tmp_path / "view-1.npz").write_bytes(b"damaged")
    (tmp_path / "view-2.npz").unlink()
    again, asked = counted(teacher)
    kept = keep_predictions(again, data(), Augment(Augmentation()), VIEWS, tmp_path)
    assert int(asked.batches) == 6 * 2
    keys = image_keys(next(iter(data()))[0])
    np.testing.assert_array_equal(kept.of(keys), whole.of(keys))


def test_each_view_is_taught_once_in_a_training(teacher):
    first, asked = counted(teacher)
    chosen = options(epochs=8, distillation=Distillation(views=VIEWS), augmentation=Augmentation())
    train(network(), data(), data(), chosen, teacher=first)
    assert int(asked.batches) == 6 * VIEWS


@pytest.mark.parametrize(("augmentation", "epochs", "expected"), [(STILL, 4, 1), (Augmentation(), 1, 2)])
def test_no_more_views_are_computed_than_the_training_uses(teacher, augmentation, epochs, expected):
    first, asked = counted(teacher)
    chosen = options(epochs=epochs, distillation=Distillation(views=VIEWS), augmentation=augmentation)
    train(network(), data(), data(), chosen, teacher=first)
    assert int(asked.batches) == 6 * expected


def test_a_smaller_student_learns_from_images_in_both_sizes(teacher):
    student = keras.models.clone_model(network(), input_tensors=keras.Input((SIZE // 2, SIZE // 2, 3)))
    small = data().map(lambda x, y: (x[:, ::2, ::2], y))
    pairs = data().map(lambda x, y: ((x[:, ::2, ::2], x), y))
    chosen = options(head_epochs=6, epochs=0, head_learning_rate=0.05, distillation=Distillation(1.0))
    history = train(student, small, small, chosen, teacher=teacher, teacher_dataset=pairs)
    assert history["loss"][-1] < history["loss"][0]
    with pytest.raises(CompressorError, match="pass teacher_dataset, with the images in both sizes"):
        train(student, small, small, chosen, teacher=teacher)


def noisy() -> tf.data.Dataset:
    """Images that are brighter in each pass."""
    passes = iter(range(100))
    brighter = tf.data.Dataset.from_generator(lambda: [next(passes)] * 6, output_signature=tf.TensorSpec((), tf.uint8))
    return tf.data.Dataset.zip(data(), brighter).map(lambda batch, more: (batch[0] + more, batch[1]))


@pytest.mark.parametrize("views", [1, 2])
def test_images_that_change_from_pass_to_pass_are_refused(teacher, views):
    chosen = options(distillation=Distillation(views=views), augmentation=Augmentation())
    with pytest.raises(CompressorError, match="the training dataset yields other images in each pass"):
        train(network(), noisy(), data(), chosen, teacher=teacher)


@pytest.mark.slow
def test_a_compute_budget_sets_the_number_of_epochs(teacher, caplog):
    caplog.set_level("INFO", "compressor_lib.training")
    chosen = options(head_epochs=0, epochs=None, compute=14.0, distillation=Distillation(views=2), patience=100)
    history = train(network(), data(), data(), chosen, teacher=teacher)
    assert len(history["loss"]) == 4  # (14 - 2) / 3, for a network as large as its teacher
    assert "training for at most 4 epochs" in caplog.text


@pytest.mark.slow
def test_a_compute_budget_that_pays_for_no_epoch_is_reported(teacher, caplog):
    history = train(
        network(), data(), data(), options(head_epochs=0, epochs=None, compute=0.1, distillation=Distillation()),
        teacher=teacher,
    )  # fmt: skip
    assert len(history["loss"]) == 1
    assert "compute is 0.1, which does not pay for an epoch: training for 1 epoch; raise it" in caplog.text


def test_the_teacher_predicts_on_an_accelerator(teacher, tmp_path, monkeypatch):
    """There, Keras compiles with XLA, which has no operations on text, unless it is asked not to."""
    accelerator = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda *_: [accelerator])
    assert keep_predictions(teacher, data(), Augment(Augmentation()), 1, tmp_path).count == 1


@pytest.mark.slow
def test_an_interrupted_training_with_a_teacher_ends_with_the_same_weights(teacher, tmp_path):
    def run(name: str, epochs_until_killed: int | None = None) -> list[np.ndarray]:
        keras.utils.set_random_seed(3)
        model = network()

        def kill(epoch: int, logs: object) -> None:
            del logs
            if epoch == epochs_until_killed:
                raise KeyboardInterrupt

        train(
            model,
            shuffled(),
            data(24, seed=1),
            options(head_epochs=2, epochs=3, distillation=Distillation(views=2), augmentation=Augmentation()),
            teacher=teacher,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=kill)],
            checkpoint=tmp_path / f"{name}.npz",
        )
        return model.get_weights()

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("cut", 3)
    assert same(run("cut"), whole)
