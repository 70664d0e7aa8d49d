"""Names of the images in a ``tf.train.Example``, and the choice of the one that a model reads.

``image`` holds an encoded image of any size. Beside it, ``image_96`` may hold the same image at 96 x 96 pixels, made
from the original. A model that takes images of 96 pixels reads ``image_96`` where it is present, so that it gets the
pixels that :func:`compressor_lib.deployment.images.decode_image` makes of the original, and not those of a copy at
another size that was resized again. Training, evaluation and serving all choose with these functions.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

IMAGE_FEATURE = "image"
"""The feature that holds the encoded image."""


def sized_feature(size: int) -> str:
    """Returns the name of the feature that holds the image at a size, such as ``image_96``."""
    return f"{IMAGE_FEATURE}_{size}"


def image_features(*sizes: int) -> dict[str, tf.io.FixedLenFeature]:
    """Returns the features to parse for models of some input sizes, for ``tf.io.parse_example``.

    Args:
        *sizes: Input sizes of the models, in pixels.

    Returns:
        ``image``, which is required, and ``image_<size>`` for each size, empty where it is missing.
    """
    optional = {sized_feature(size): tf.io.FixedLenFeature([], tf.string, default_value="") for size in sizes}
    return {IMAGE_FEATURE: tf.io.FixedLenFeature([], tf.string), **optional}


def encoded_at(parsed: Mapping[str, tf.Tensor], size: int) -> tf.Tensor:
    """Chooses the encoded images that a model reads.

    Args:
        parsed: Features parsed with :func:`image_features`, ``tf.string`` scalars or ``[N]``.
        size: Input size of the model, in pixels.

    Returns:
        ``image_<size>`` where it is present, else ``image``; of the same shape.
    """
    sized = parsed[sized_feature(size)]
    return tf.where(sized == "", parsed[IMAGE_FEATURE], sized)
