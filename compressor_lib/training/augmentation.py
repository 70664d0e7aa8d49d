"""Random augmentation of training images, in views that can be made again."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
from keras import ops

from compressor_lib.training.options import Augmentation

_KINDS = ("angle", "scale", "mirror", "right", "down", "contrast")
_STEPS = 2**24  # float32 holds integers up to here
_KEYS = 2**63 - 1


def image_keys(images: tf.Tensor) -> tf.Tensor:
    """Returns a number for each image that depends on its pixels alone, by which its views are drawn.

    Args:
        images: ``[N, height, width, 3]`` of any dtype.

    Returns:
        ``int64 [N]``: FarmHash fingerprints, so that different images practically never have the same number.
    """
    return tf.map_fn(
        lambda image: tf.strings.to_hash_bucket_fast(tf.io.serialize_tensor(image), _KEYS),
        images,
        fn_output_signature=tf.int64,
    )


class Augment:
    """Augments each image of a batch independently: one affine transformation, then a change of contrast.

    Flip, rotation, zoom and shift are combined into a single interpolation. It blurs less than Keras' chain of
    ``RandomRotation``, ``RandomZoom`` and ``RandomTranslation``, at a third of the cost. (On a CPU, that chain takes
    most of a head-only training step.) The border is filled with the image's reflection, as in Keras.

    The draws depend only on the seed, the image's key and the number of the view, and are relative to the image's size.
    So a view can be made again, in another order, on another device or at another size: a teacher that takes larger
    images sees the same crop as its student (Beyer et al., arXiv:2106.05237).

    Args:
        options: Strength of each augmentation.
        seed: Seed of all views: a number or a scalar integer tensor.
    """

    def __init__(self, options: Augmentation, seed: Any = 0) -> None:
        self.options = options
        self.seed = seed

    def __call__(self, images: Any, keys: Any, view: Any) -> Any:
        """Makes a view of each image of a batch.

        Args:
            images: ``float32`` of shape ``[N, height, width, 3]``, 0..255.
            keys: ``int64 [N]``, from :func:`image_keys`.
            view: Number of the view.

        Returns:
            Images of the same shape, dtype and range.
        """
        draws = self._draws(keys, view)
        if self.options.moves:
            images = ops.image.affine_transform(
                images, self._maps(draws, *images.shape[1:3]), interpolation="bilinear", fill_mode="reflect"
            )
        if self.options.contrast:
            mean = ops.mean(images, axis=(1, 2), keepdims=True)
            factor = 1.0 + self.options.contrast * draws["contrast"][:, None, None, None]
            images = ops.clip((images - mean) * factor + mean, 0.0, 255.0)
        return images

    def _draws(self, keys: Any, view: Any) -> dict[str, tf.Tensor]:
        """Draws numbers from -1 to 1, ``float32 [N]`` of each kind, by hashing (FarmHash)."""
        text = tf.strings.join([*map(tf.strings.as_string, (self.seed, view, keys))], "/")

        def drawn(kind: str) -> tf.Tensor:
            steps = tf.strings.to_hash_bucket_fast(tf.strings.join([text, kind], "/"), _STEPS)
            return (2.0 * tf.cast(steps, tf.float32) + 1.0) / _STEPS - 1.0

        return {kind: drawn(kind) for kind in _KINDS}

    def _maps(self, draws: dict[str, tf.Tensor], height: int, width: int) -> Any:
        """Returns ``[N, 8]`` mappings from output to input pixels, in the order of ``affine_transform``."""
        options = self.options
        angle = 2.0 * math.pi * options.rotation * draws["angle"]
        scale = 1.0 + options.zoom * draws["scale"]
        mirror = ops.sign(draws["mirror"]) if options.flip else 1.0
        right = width * options.translation * draws["right"]
        down = height * options.translation * draws["down"]

        cosine, sine = scale * ops.cos(angle), scale * ops.sin(angle)
        xx, xy, yx, yy = mirror * cosine, -sine, mirror * sine, cosine
        # Rotation and zoom are around the middle of the image.
        middle_x, middle_y = (width - 1) / 2.0, (height - 1) / 2.0
        x0 = middle_x + right - xx * middle_x - xy * middle_y
        y0 = middle_y + down - yx * middle_x - yy * middle_y
        nil = ops.zeros_like(angle)
        return ops.stack([xx, xy, x0, yx, yy, y0, nil, nil], axis=1)
