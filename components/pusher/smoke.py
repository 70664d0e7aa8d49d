"""Tests a SavedModel with TensorFlow alone, without this project's code: ``python smoke.py MODEL``."""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf


def main(model: str) -> str:
    """Returns the problem with a model's predictions, or an empty string if there is none."""
    signatures = tf.saved_model.load(model).signatures
    classes = Path(model, "assets.extra", "classes.txt").read_text(encoding="utf-8").splitlines()
    pixels = tf.cast(tf.random.stateless_uniform((48, 64, 3), (0, 1), 0, 256, tf.int32), tf.uint8)
    images = tf.stack([tf.io.encode_png(pixels), tf.io.encode_jpeg(pixels), tf.io.encode_png(pixels[..., :1])])
    examples = [
        tf.train.Example(
            features=tf.train.Features(
                feature={"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))}
            )
        ).SerializeToString()
        for image in images.numpy()
    ]
    outputs = {
        "serving_default": signatures["serving_default"](image_bytes=images),
        "serving_tf_example": signatures["serving_tf_example"](examples=tf.constant(examples)),
    }
    for name, output in outputs.items():
        probabilities = output["probabilities"].numpy()
        if probabilities.shape != (len(examples), len(classes)):
            return f"{name} gives probabilities of shape {probabilities.shape} for {len(classes)} classes"
        if not tf.reduce_all(tf.math.is_finite(output["probabilities"])):
            return f"{name} gives probabilities that are not finite"
        expected = [classes[number] for number in probabilities.argmax(axis=-1)]
        if [one.decode() for one in output["class"].numpy()] != expected:
            return f"{name} returns classes that do not match its probabilities and classes.txt"
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) or 0)
