"""The functions that TFX calls by dotted path: Transform's ``preprocessing_fn`` and the Trainer's ``run_fn``.

TFX reloads this module, so it contains only functions: a class defined here would lose its identity.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from components.artifacts.class_list import read_class_list
from components.artifacts.file_names import HISTORY_FILE
from components.options import parsed
from components.resumable import mark_done, sweep, work_key
from components.storage.examples import count_classes, count_examples, image_dataset
from components.storage.gcs_mount import mounted
from compressor_lib.deployment.export import KERAS_FILE, TEACHER_FILE, export_saved_model, load_keras
from compressor_lib.deployment.images import decode_upright, encode_image, resize_image
from compressor_lib.deployment.sized_images import IMAGE_FEATURE, sized_feature
from compressor_lib.networks.batch_norm_folding import folded
from compressor_lib.training.class_weights import balanced_weights
from compressor_lib.training.options import TrainingOptions
from compressor_lib.training.reference import load_network, reference_model
from compressor_lib.training.train import train
from pipelines.config.errors import fields_named

logger = logging.getLogger("pipelines.modules")

LABEL = "label"
CHECKPOINT_FILE = "checkpoint.npz"


def preprocessing_fn(inputs: dict[str, Any], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Decodes, resizes and re-encodes every image; turns class names into indices.

    Args:
        inputs: The raw features.
        custom_config: ``sizes`` (pixels), the reference model's first; the names of the raw ``image`` and ``label``
            features; and the ``classes``, by index.

    Returns:
        ``image`` string ``[N]`` (PNG, of the first size), one such feature for each further size, such as ``image_96``,
        and ``label`` int64 ``[N]``.
    """
    size, *others = custom_config["sizes"]
    names = {IMAGE_FEATURE: size} | {sized_feature(other): other for other in others}

    def resized(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        image = decode_upright(encoded)
        return {name: encode_image(resize_image(image, one)) for name, one in names.items()}

    encoded = _dense(inputs[custom_config["image"]])
    images = tf.map_fn(resized, encoded, fn_output_signature=dict.fromkeys(names, tf.string))
    labels = _dense(inputs[custom_config[LABEL]])
    return {
        **images,
        LABEL: tft.make_and_track_object(lambda: _indices(custom_config["classes"]), name="classes").lookup(labels),
    }


def _indices(classes: Sequence[str]) -> tf.lookup.StaticHashTable:
    """A table from class names to indices; other names map to -1."""
    indices = tf.lookup.KeyValueTensorInitializer(tf.constant(list(classes)), tf.range(len(classes), dtype=tf.int64))
    return tf.lookup.StaticHashTable(indices, default_value=-1)


def run_fn(fn_args: FnArgs) -> None:
    """Trains and exports a classifier: the reference model or the compressed model.

    ``custom_config["role"]`` selects one. The reference model is built from ``backbone`` and ``head``, or is the user's
    own model. The compressed model is the base model from the search, which comes with the reference model as its
    teacher and may take smaller images. If the search chose several, ``custom_config["network"]`` is its file. With
    ``custom_config["class_weights"] == "balanced"``, all classes are weighted the same.
    """
    config = fn_args.custom_config
    keras.utils.set_random_seed(config["seed"])
    classes = read_class_list(fn_args.transform_output)
    teacher = None
    if config["role"] == "reference":
        backbone = config["backbone"]
        with fields_named("backbone"):
            model = reference_model(load_network(backbone), backbone, config["head"], classes)
    else:
        found = mounted(fn_args.base_model)
        model = load_keras(found, config.get("network", KERAS_FILE))
        teacher = folded(load_keras(found, TEACHER_FILE))  # it only predicts
    options = parsed(TrainingOptions, config["training"])
    images = functools.partial(
        image_dataset, size=model.input_shape[1], batch_size=options.batch_size, classes=len(classes)
    )
    train_dataset = images(fn_args.train_files, shuffle_seed=config["seed"])
    eval_dataset = images(fn_args.eval_files)
    teacher_dataset = images(fn_args.train_files, teacher_size=teacher.input_shape[1]) if teacher else None
    class_weights = None
    if config.get("class_weights") == "balanced":
        class_weights = balanced_weights(count_classes(fn_args.train_files, len(classes)))
    run_dir = Path(mounted(fn_args.model_run_dir))
    run_dir.mkdir(parents=True, exist_ok=True)
    tensorboard = keras.callbacks.TensorBoard(run_dir, write_graph=False)
    resumable = _resumable_folder(fn_args)
    history = train(
        model,
        train_dataset,
        eval_dataset,
        options,
        teacher=teacher,
        teacher_dataset=teacher_dataset,
        callbacks=[tensorboard],
        class_weights=class_weights,
        checkpoint=resumable / CHECKPOINT_FILE,
        seed=config["seed"],
    )
    export_saved_model(model, classes, mounted(fn_args.serving_model_dir))
    counted = {"eval_images": [float(count_examples(fn_args.eval_files))]}  # val_accuracy is a share of these
    (run_dir / HISTORY_FILE).write_text(json.dumps(history | counted))
    mark_done(resumable)


def _resumable_folder(fn_args: FnArgs) -> Path:
    """The folder beside the node's outputs from which the node's next attempt resumes an interrupted training."""
    inputs = (fn_args.train_files, fn_args.eval_files, fn_args.transform_output, fn_args.base_model)
    node = Path(mounted(fn_args.serving_model_dir)).parents[2]
    folder = node / ".training" / work_key(fn_args.custom_config, inputs)
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    return folder


def _dense(feature: tf.Tensor | tf.SparseTensor) -> tf.Tensor:
    """A feature with one value per Example, as ``[N]``."""
    if isinstance(feature, tf.SparseTensor):
        feature = tf.sparse.to_dense(feature)
    return tf.reshape(feature, [-1])
