"""Random augmentation of training images."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from compressor_lib.training.options import Augmentation


class Augment(keras.layers.Layer):
    """Augments each image of a batch independently: one affine transformation, then a change of contrast.

    Flip, rotation, zoom and shift are combined into a single interpolation. It blurs less than Keras' chain of
    ``RandomRotation``, ``RandomZoom`` and ``RandomTranslation``, at a third of the cost. (On a CPU, that chain takes
    most of a head-only training step.) The border is filled with the image's reflection, as in Keras.
    ``keras.utils.set_random_seed`` makes the random draws repeatable.

    Args:
        options: Strength of each augmentation.
    """

    def __init__(self, options: Augmentation) -> None:
        super().__init__(name="augment")
        self.options = options
        self.generator = keras.random.SeedGenerator()
        self.supports_jit = False  # XLA does not support the interpolation
        self.built = True

    def call(self, images: Any) -> Any:
        """Augments a batch.

        Args:
            images: ``float32`` of shape ``[N, height, width, 3]``, 0..255.

        Returns:
            Images of the same shape, dtype and range.
        """
        if self.options.moves:
            images = ops.image.affine_transform(
                images, self._maps(images), interpolation="bilinear", fill_mode="reflect"
            )
        if self.options.contrast:
            mean = ops.mean(images, axis=(1, 2), keepdims=True)
            factor = 1.0 + self._draw(images, self.options.contrast)[:, None, None, None]
            images = ops.clip((images - mean) * factor + mean, 0.0, 255.0)
        return images

    def _draw(self, images: Any, limit: float) -> Any:
        """Draws one number between -limit and limit for each image."""
        return keras.random.uniform((ops.shape(images)[0],), minval=-limit, maxval=limit, seed=self.generator)

    def _maps(self, images: Any) -> Any:
        """Draws ``[N, 8]`` mappings from output to input pixels, in the order of ``affine_transform``."""
        options = self.options
        height, width = images.shape[1:3]
        angle = self._draw(images, 2.0 * math.pi * options.rotation)
        scale = 1.0 + self._draw(images, options.zoom)
        mirror = ops.sign(self._draw(images, 1.0)) if options.flip else 1.0
        right = self._draw(images, width * options.translation)
        down = self._draw(images, height * options.translation)

        cosine, sine = scale * ops.cos(angle), scale * ops.sin(angle)
        xx, xy, yx, yy = mirror * cosine, -sine, mirror * sine, cosine
        # Rotation and zoom are around the middle of the image.
        middle_x, middle_y = (width - 1) / 2.0, (height - 1) / 2.0
        x0 = middle_x + right - xx * middle_x - xy * middle_y
        y0 = middle_y + down - yx * middle_x - yy * middle_y
        nil = ops.zeros_like(angle)
        return ops.stack([xx, xy, x0, yx, yy, y0, nil, nil], axis=1)
