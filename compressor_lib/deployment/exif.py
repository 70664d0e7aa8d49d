"""Reads the EXIF orientation of a JPEG and rotates the image upright, inside a TensorFlow graph.

TensorFlow's decoder ignores the orientation. A served model receives the original file, so it must read the orientation
with TensorFlow operations only.
Sources: JPEG's markers, ITU-T T.81 B.1; EXIF 2.32, 4.5 (APP1) and 4.6.4 (tag 274); TIFF 6.0, section 2.
"""

from __future__ import annotations

import tensorflow as tf

UPRIGHT = 1

_PADDING = 64
_ORIENTATION, _SHORT, _LONG = 274, 3, 4
_ENTRY_BYTES = 12
_EXIF = b"Exif\0\0"


def orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Reads the orientation of an image file.

    Args:
        encoded: Scalar ``tf.string``, the bytes of an image file.

    Returns:
        Scalar ``tf.int32``, 1 to 8 as in EXIF. It is 1 (upright) if the file is not a JPEG or has no orientation.
    """
    return tf.cond(tf.io.is_jpeg(encoded), lambda: _of_jpeg(encoded), lambda: tf.constant(UPRIGHT))


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Rotates and mirrors an image upright.

    Args:
        image: ``[height, width, channels]``, as stored in the file.
        orientation: The orientation read by :func:`orientation`.

    Returns:
        The upright image, ``[width, height, channels]`` for orientations 5 to 8.
    """

    def where(values: list[int], turned: tf.Tensor, otherwise: tf.Tensor) -> tf.Tensor:
        return tf.cond(tf.reduce_any(orientation == values), lambda: turned(otherwise), lambda: otherwise)

    image = where([5, 6, 7, 8], lambda x: tf.transpose(x, [1, 0, 2]), image)
    image = where([2, 3, 6, 7], lambda x: tf.reverse(x, [1]), image)
    return where([3, 4, 7, 8], lambda x: tf.reverse(x, [0]), image)


class _Bytes:
    """The bytes of a file, followed by zeros."""

    def __init__(self, encoded: tf.Tensor) -> None:
        self._values = tf.io.decode_raw(tf.strings.join([encoded, b"\0" * _PADDING]), tf.uint8)
        self.size = tf.size(self._values)

    def at(self, position: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(self._values, tf.clip_by_value(position, 0, self.size - 1)), tf.int32)

    def number(self, position: tf.Tensor, length: int, big_endian: tf.Tensor) -> tf.Tensor:
        number = tf.zeros_like(position)
        for place in range(length):
            number = number * 256 + self.at(position + tf.where(big_endian, place, length - 1 - place))
        return number

    def match(self, position: tf.Tensor, expected: bytes) -> tf.Tensor:
        return tf.reduce_all(self.at(position + tf.range(len(expected))) == list(expected))


def _of_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    file = _Bytes(encoded)
    segment = _exif_segment(file)
    return tf.cond(segment > 0, lambda: _of_tiff(file, segment + 4 + len(_EXIF)), lambda: tf.constant(UPRIGHT))


def _exif_segment(file: _Bytes) -> tf.Tensor:
    """Returns the position of the APP1 segment with EXIF, or 0 if there is none before the pixels."""

    def continues(position: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        marker = file.at(position + 1)
        ends = tf.reduce_any(marker == [0xD9, 0xDA])  # end of image, or start of the pixels
        return ~found & (file.at(position) == 0xFF) & ~ends & (position < file.size - _PADDING)

    def step(position: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        marker = file.at(position + 1)
        found = (marker == 0xE1) & file.match(position + 4, _EXIF)
        length = tf.case(
            [
                (found, lambda: tf.constant(0)),
                (marker == 0xFF, lambda: tf.constant(1)),  # padding
                (tf.reduce_any(marker == [0x01, *range(0xD0, 0xD8)]), lambda: tf.constant(2)),  # these have no length
            ],
            default=lambda: 2 + tf.maximum(2, file.number(position + 2, 2, tf.constant(True))),
        )
        return position + length, found

    position, found = tf.while_loop(continues, step, (tf.constant(2), tf.constant(False)))
    return tf.where(found, position, 0)


def _of_tiff(file: _Bytes, start: tf.Tensor) -> tf.Tensor:
    """Looks up the orientation in the first directory of a TIFF header."""
    big_endian = file.match(start, b"MM\0*")
    known = big_endian | file.match(start, b"II*\0")
    # A directory past the file's end has no entries, and an offset above 2 GiB is negative.
    directory = tf.clip_by_value(file.number(start + 4, 4, big_endian), 0, file.size) + start
    count = tf.minimum(file.number(directory, 2, big_endian), (file.size - _PADDING) // _ENTRY_BYTES)
    entries = directory + 2 + _ENTRY_BYTES * tf.range(count)
    kinds = file.number(entries + 2, 2, big_endian)
    values = tf.where(kinds == _SHORT, file.number(entries + 8, 2, big_endian), file.number(entries + 8, 4, big_endian))
    valid = (file.number(entries, 2, big_endian) == _ORIENTATION) & ((kinds == _SHORT) | (kinds == _LONG))
    valid &= (values >= 1) & (values <= 8)
    found = tf.boolean_mask(values, valid)
    return tf.cond(known & (tf.size(found) > 0), lambda: found[-1], lambda: tf.constant(UPRIGHT))
