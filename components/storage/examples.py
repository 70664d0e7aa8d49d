"""Reads transformed Examples as batches of images."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tfx import types
from tfx.types import artifact_utils

from components.storage.listing import is_folder, listed
from compressor_lib.deployment.images import CHANNELS, decode_image
from compressor_lib.deployment.sized_images import IMAGE_FEATURE, encoded_at, image_features
from compressor_lib.errors import CompressorError

# Number of encoded images in the shuffle buffer: about 300 MB at most at 224 px.
_SHUFFLE_BUFFER = 2048


def split_patterns(examples: types.Artifact | str, split: str) -> str:
    """Returns the pattern of a split's files.

    Args:
        examples: An Examples artifact, or its URI.
        split: Name of the split.

    Returns:
        ``<uri>/Split-<split>/*``.
    """
    if isinstance(examples, str):
        return os.path.join(examples, f"Split-{split}", "*")
    return os.path.join(artifact_utils.get_split_uri([examples], split), "*")


def count_examples(patterns: Sequence[str] | str) -> int:
    """Counts Examples by reading them once.

    Args:
        patterns: Patterns of gzipped TFRecord files.

    Returns:
        The number of Examples.

    Raises:
        CompressorError: If no file matches.
    """
    records = _records(patterns, num_parallel_reads=tf.data.AUTOTUNE)
    return int(records.reduce(tf.constant(0, tf.int64), lambda count, _: count + 1))


def count_classes(patterns: Sequence[str] | str, classes: int) -> list[int]:
    """Counts the Examples of each class by reading them once, without decoding images.

    Args:
        patterns: Patterns of gzipped TFRecord files of Examples with ``label`` (index of the class).
        classes: Number of classes.

    Returns:
        The number of Examples of each class, by class index.

    Raises:
        CompressorError: If no file matches.
    """

    def label(record: tf.Tensor) -> tf.Tensor:
        return tf.io.parse_single_example(record, {"label": tf.io.FixedLenFeature([], tf.int64)})["label"]

    labels = _records(patterns, num_parallel_reads=tf.data.AUTOTUNE).map(label, num_parallel_calls=tf.data.AUTOTUNE)
    counts = np.zeros(classes, int)
    for batch in labels.batch(_SHUFFLE_BUFFER).as_numpy_iterator():
        counts += np.bincount(batch, minlength=classes)
    return counts.tolist()


def image_dataset(
    patterns: Sequence[str] | str,
    *,
    size: int,
    teacher_size: int | None = None,
    batch_size: int,
    classes: int | None = None,
    shuffle_seed: int | None = None,
    labelled: bool = True,
) -> tf.data.Dataset:
    """Reads transformed Examples in batches.

    Encoded images are shuffled, with a new order in each epoch. The same seed gives the same epochs.

    Args:
        patterns: Patterns of gzipped TFRecord files of Examples with ``image`` (encoded image), ``label`` (index of
            the class) and perhaps images at further sizes, see :mod:`compressor_lib.deployment.sized_images`.
        size: Height and width of the images in pixels.
        teacher_size: Height and width, in pixels, at which a teacher sees the same images. None, or ``size``, if there
            is no need for other images than those of ``size``.
        batch_size: Images per batch. The last batch may be smaller.
        classes: Number of classes. A label outside 0..classes-1 raises ``tf.errors.InvalidArgumentError``. None for no
            check.
        shuffle_seed: Seed of the shuffling. None for the order of the files.
        labelled: Whether to yield labels.

    Returns:
        A dataset of known cardinality that yields ``(images, labels)``, uint8 [N, size, size, 3] and int64 [N], or only
        the images. With another ``teacher_size``, ``images`` is a pair ``(images, teacher's images)``, uint8
        [N, size, size, 3] and [N, teacher_size, teacher_size, 3].

    Raises:
        CompressorError: If no file matches, or the files hold no Examples.
    """
    count = count_examples(patterns)
    if not count:
        raise CompressorError(f"no Examples in {patterns!r}. Check the split.")
    sizes = (size,) if teacher_size in (None, size) else (size, teacher_size)

    def parse(record: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], tf.Tensor]:
        features = image_features(*sizes)
        if labelled:
            features["label"] = tf.io.FixedLenFeature([], tf.int64)
        example = tf.io.parse_single_example(record, features)
        return tuple(encoded_at(example, one) for one in sizes), example.get("label", -1)

    def decode(encoded: tuple[tf.Tensor, ...], label: tf.Tensor) -> Any:
        images = tuple(decode_image(image, one) for image, one in zip(encoded, sizes, strict=True))
        images = images if len(images) > 1 else images[0]
        return (images, _checked(label, classes)) if labelled else images

    # Parsed before they are shuffled, so that the buffer holds images of the sizes asked for alone.
    examples = _records(patterns).map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    if shuffle_seed is not None:
        examples = examples.shuffle(min(count, _SHUFFLE_BUFFER), seed=shuffle_seed)
    batches = examples.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    batches = batches.batch(batch_size).prefetch(tf.data.AUTOTUNE)
    return batches.apply(tf.data.experimental.assert_cardinality(math.ceil(count / batch_size)))


def decode_images(records: Sequence[bytes], size: int) -> npt.NDArray[np.uint8]:
    """Decodes the images of transformed Examples.

    Args:
        records: Serialised Examples with ``image`` (encoded image) and perhaps images at further sizes.
        size: Height and width of the images in pixels.

    Returns:
        uint8 ``[len(records), size, size, 3]``.
    """
    parsed = tf.io.parse_example(list(records), image_features(size))
    return _decoder(size)(encoded_at(parsed, size)).numpy()


@functools.cache
def _decoder(size: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from encoded images ``[N]`` to ``uint8 [N, size, size, 3]``; a graph, for speed."""
    images = tf.TensorSpec([size, size, CHANNELS], tf.uint8)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def decoded(encoded: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(lambda one: decode_image(one, size), encoded, fn_output_signature=images)

    return decoded


def encoded_images(patterns: Sequence[str] | str) -> Iterator[bytes]:
    """Yields the encoded images of Examples, without decoding them.

    Args:
        patterns: Patterns of gzipped TFRecord files of Examples with ``image``.

    Raises:
        CompressorError: If no file matches.
    """
    for record in _records(patterns).as_numpy_iterator():
        yield tf.train.Example.FromString(record).features.feature[IMAGE_FEATURE].bytes_list.value[0]


def _records(patterns: Sequence[str] | str, num_parallel_reads: int | None = None) -> tf.data.TFRecordDataset:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    files = sorted(file for pattern in patterns for file in _files(pattern))
    if not files:
        raise CompressorError(f"no files match {', '.join(patterns)}. Check the name of the split.")
    return tf.data.TFRecordDataset(files, "GZIP", num_parallel_reads=num_parallel_reads)


def _files(pattern: str) -> list[str]:
    """Returns the files of a pattern from :func:`split_patterns` or TFX: all files of a folder with a literal path."""
    folder = pattern.removesuffix("*")
    if folder == pattern or not is_folder(folder):
        return []
    return [os.path.join(folder, name) for name in listed(folder)]


def _checked(label: tf.Tensor, classes: int | None) -> tf.Tensor:
    if classes is not None:
        tf.debugging.assert_non_negative(label, "a label is not among the known classes")
        tf.debugging.assert_less(label, tf.constant(classes, tf.int64), "a label is too large")
    return label
