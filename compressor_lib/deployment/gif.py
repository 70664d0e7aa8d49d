"""Reads the frame sizes of a GIF without decoding the frames.

Source: the block structure of GIF89a, https://www.w3.org/Graphics/GIF/spec-gif89a.txt, sections 15 to 27.
"""

from __future__ import annotations

from collections.abc import Iterator

_EXTENSION, _IMAGE = 0x21, 0x2C
_SCREEN_END, _DESCRIPTOR_SIZE = 13, 10


def frame_sizes(encoded: bytes) -> Iterator[tuple[int, int]]:
    """Yields width and height of each frame, in pixels, up to the end or to the first damage, where decoders also stop.

    Args:
        encoded: The bytes of a GIF.
    """
    try:
        position = _SCREEN_END + _colour_table(encoded[_SCREEN_END - 3])
        while (kind := encoded[position]) in (_EXTENSION, _IMAGE):
            position += 2  # an extension's label
            if kind == _IMAGE:
                descriptor = encoded[position - 2 : position - 2 + _DESCRIPTOR_SIZE]
                yield int.from_bytes(descriptor[5:7], "little"), int.from_bytes(descriptor[7:9], "little")
                position += _DESCRIPTOR_SIZE - 1 + _colour_table(descriptor[9])  # includes the minimum code size
            while length := encoded[position]:  # sub-blocks end with an empty one
                position += 1 + length
            position += 1
    except IndexError:
        return


def _colour_table(flags: int) -> int:
    """Returns the size in bytes of the colour table that the flags of a descriptor declare."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
