"""Trains the same network on one device and on two, and prints the results as JSON.

Run by test_train.py: logical devices have to be made before TensorFlow starts.
"""

import json
import logging
import sys
from pathlib import Path

import keras
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from conftest import shake
from small_training import data, network, options

from compressor_lib.training.options import Augmentation, Distillation
from compressor_lib.training.train import train


def run(strategy: str, batch_norm: str) -> dict:
    keras.utils.set_random_seed(0)
    model, teacher = shake(network()), network()
    weight = model.get_layer("stem").kernel
    # 44 images in batches of 8: the last batch of an epoch reaches one of the devices only.
    history = train(
        model,
        data(44),
        data(13, seed=1),
        options(
            epochs=2,
            learning_rate=0.01,
            batch_norm=batch_norm,
            strategy=strategy,
            distillation=Distillation(views=2),
            augmentation=Augmentation(),
        ),
        teacher=teacher,
    )
    assert model.get_layer("stem").kernel is weight
    assert all(layer.trainable for layer in model.layers)
    return {"history": history, "weights": [weight.tolist() for weight in model.get_weights()]}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    results = {
        f"{batch_norm} {strategy}": run(strategy, batch_norm)
        for batch_norm in ("frozen", "train")
        for strategy in ("none", "mirrored")
    }
    print(json.dumps({**results, "devices": len(tf.config.list_logical_devices("CPU"))}))
