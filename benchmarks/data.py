"""The data of the benchmarks: real images and pretrained weights if available, otherwise the embedded digits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from compressor_lib.deployment.images import decode_image

SPLITS = ("train", "validation", "test")
NO_LIMITS: Mapping[str, int] = {}


@dataclass(frozen=True)
class ImageSet:
    """A data set in three splits.

    Attributes:
        name: Name in the tables.
        files: Contents or paths of the image files, by split.
        labels: Class indices, by split.
        classes: Number of classes.
        weights: Folder of weights files; None for random weights.
        is_encoded: Whether ``files`` contains the contents of the files rather than their paths.
    """

    name: str
    files: Mapping[str, Sequence[str | bytes]]
    labels: Mapping[str, Sequence[int]]
    classes: int
    weights: Path | None
    is_encoded: bool

    def dataset(
        self, split: str, size: int, batch_size: int = 32, *, shuffle_seed: int | None = None
    ) -> tf.data.Dataset:
        """Returns batches of ``uint8 [N, size, size, 3]`` and ``int64 [N]``.

        Args:
            split: One of ``SPLITS``.
            size: Height and width, in pixels.
            batch_size: Images per batch.
            shuffle_seed: None for a fixed order. With a seed, images are decoded once, kept in memory and shuffled
                again in each pass, for training.
        """

        def image(file: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return decode_image(file if self.is_encoded else tf.io.read_file(file), size), label

        rows = (tf.constant(self.files[split]), tf.constant(self.labels[split], tf.int64))
        decoded = tf.data.Dataset.from_tensor_slices(rows).map(image, num_parallel_calls=tf.data.AUTOTUNE)
        if shuffle_seed is not None:
            decoded = decoded.cache().shuffle(self.count(split), seed=shuffle_seed)
        return decoded.batch(batch_size).prefetch(tf.data.AUTOTUNE)

    def count(self, *splits: str) -> int:
        """Number of images in some splits."""
        return sum(len(self.files[split]) for split in splits)

    def weights_file(self, name: str) -> Path | None:
        """Path of a weights file; None if there are none."""
        return self.weights and self.weights / name


def load(limits: Mapping[str, int] = NO_LIMITS) -> ImageSet:
    """Loads the clothing images in ``$COMPRESSOR_TEST_DATA`` if they exist, otherwise the digits.

    Args:
        limits: Maximum number of images, by split; all of a split that is missing.
    """
    clothing = _root() / "clothing"
    return folders(clothing, limits) if clothing.is_dir() else digits(limits)


def digits(limits: Mapping[str, int] = NO_LIMITS) -> ImageSet:
    """Loads scikit-learn's handwritten digits in the form of :func:`load`."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.repeat(data.images[..., None] * 255 / 16, 3, axis=-1).astype(np.uint8)
    encoded = [tf.io.encode_png(image).numpy() for image in pixels]
    order = np.random.default_rng(0).permutation(len(encoded))
    parts = dict(zip(SPLITS, np.split(order, [len(order) * 8 // 10, len(order) * 9 // 10]), strict=True))
    parts = {split: part[: limits.get(split)] for split, part in parts.items()}
    return ImageSet(
        "digits",
        {split: [encoded[i] for i in part] for split, part in parts.items()},
        {split: [int(data.target[i]) for i in part] for split, part in parts.items()},
        10,
        _weights(),
        is_encoded=True,
    )


def _root() -> Path:
    return Path(os.environ.get("COMPRESSOR_TEST_DATA", "../shared/data"))


def _weights() -> Path | None:
    folder = _root() / "weights"
    return folder if folder.is_dir() else None


def folders(root: Path, limits: Mapping[str, int] = NO_LIMITS) -> ImageSet:
    """Loads the images in ``<split>/<class>/`` of a folder, in the form of :func:`load`."""
    classes = sorted(folder.name for folder in (root / "train").iterdir() if folder.is_dir())
    files, labels = {}, {}
    for split in SPLITS:
        pairs = [
            (str(file), label) for label, name in enumerate(classes) for file in sorted((root / split / name).iterdir())
        ]
        order = np.random.default_rng(0).permutation(len(pairs))[: limits.get(split)]
        files[split] = [pairs[i][0] for i in order]
        labels[split] = [pairs[i][1] for i in order]
    return ImageSet(root.name, files, labels, len(classes), _weights(), is_encoded=False)
