"""Searches one space without a strategy and with each kind of one, and prints as JSON what each search found.

Run by support/test_strategies.py: logical devices have to be made before TensorFlow starts.
"""

import json
import tempfile

import keras
import keras_tuner as kt
import numpy as np
import tensorflow as tf
from conftest import residual_network

from compressor_lib.search.hypermodels import HyperCompressor

OBJECTIVE = kt.Objective("val_acc_comp", direction="max")
CUTS = ["add_1->last", "add_1->head"]
TUNERS = {
    "random": lambda *given, **more: kt.RandomSearch(*given, max_trials=2, **more),
    "grid": lambda *given, **more: kt.GridSearch(*given, max_trials=1, **more),
    "bayesian": lambda *given, **more: kt.BayesianOptimization(*given, max_trials=1, **more),
    "hyperband": lambda *given, **more: kt.Hyperband(*given, max_epochs=2, factor=2, **more),
}


def data(count: int, seed: int) -> tf.data.Dataset:
    """Images whose class is their brightest channel, in batches of 8."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    x = rng.normal(0, 0.5, (count, 16, 16, 3))
    x[np.arange(count), :, :, y] += 0.7
    return tf.data.Dataset.from_tensor_slices((x.astype(np.float32), y)).batch(8)


def search(kind: str, strategy: tf.distribute.Strategy | None, *, cached: bool = True) -> dict:
    """What a tuner's trials found, the best first, and the weights of the best model.

    Args:
        kind: A name in TUNERS.
        strategy: Given to the tuner; None for none.
        cached: Whether trials are trained on cached features.
    """
    keras.utils.set_random_seed(0)
    hypermodel = HyperCompressor(
        3000, 3, backbone=residual_network(), connections=CUTS, learning_rates=(0.01, 0.1), cache_features=cached,
        loss="sparse_categorical_crossentropy",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        tuner = TUNERS[kind](hypermodel, objective=OBJECTIVE, seed=0, directory=folder, distribution_strategy=strategy)
        tuner.search(data(48, 0), validation_data=data(24, 1), epochs=2, verbose=0)
        trials = tuner.oracle.get_best_trials(9)
        (model,) = tuner.get_best_models(1)
        return {
            "trials": [[trial.score, trial.hyperparameters.values["translator"]] for trial in trials],
            "weights": [weight.tolist() for weight in model.get_weights()],
            "validation": model.evaluate(data(24, 1), verbose=0, return_dict=True)["accuracy"],
        }


if __name__ == "__main__":
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    results = {
        "random default": search("random", tf.distribute.get_strategy()),
        "random one device": search("random", tf.distribute.OneDeviceStrategy("CPU:1")),
        "mirrored, plain": search("random", mirrored, cached=False),
    }
    for kind in TUNERS:
        results |= {f"{kind} none": search(kind, None), f"{kind} mirrored": search(kind, mirrored)}
    print(json.dumps({**results, "devices": mirrored.num_replicas_in_sync}))
