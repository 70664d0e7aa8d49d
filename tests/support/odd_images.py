"""Images of all kinds that users have in their folders, and files that are not images."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image


def pixels(seed: int, height: int = 23, width: int = 31) -> np.ndarray:
    """Coloured noise with some shape in it."""
    random = np.random.default_rng(seed)
    colours = random.integers(0, 200, 3) + np.linspace(0, 55, width)[None, :, None]
    return (colours + random.normal(0, 20, (height, width, 3))).clip(0, 255).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The content of an image's file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(seed: int) -> bytes:
    """A JPEG of a camera that was held in one of eight orientations."""
    tag = Image.Exif()
    tag[271], tag[274] = "a camera", 1 + seed % 8
    return saved(Image.fromarray(pixels(seed)), "JPEG", exif=tag)


def animated(seed: int) -> bytes:
    """A GIF of three frames."""
    frames = [Image.fromarray(pixels(seed + number)) for number in range(3)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:])


def deep(seed: int) -> bytes:
    """A PNG with 16 bits per pixel."""
    values = np.random.default_rng(seed).integers(0, 2**16, (23, 31), dtype=np.uint16)
    return saved(Image.fromarray(values), "PNG")


def in_mode(mode: str, kind: str, **options: object) -> Callable[[int], bytes]:
    """Makes images in one of Pillow's modes."""
    return lambda seed: saved(Image.fromarray(pixels(seed)).convert(mode), kind, **options)


SERVED: dict[str, Callable[[int], bytes]] = {
    "jpeg": in_mode("RGB", "JPEG"),
    "progressive jpeg": in_mode("RGB", "JPEG", progressive=True),
    "grey jpeg": in_mode("L", "JPEG"),
    "cmyk jpeg": in_mode("CMYK", "JPEG"),
    "turned jpeg": turned,
    "png": in_mode("RGB", "PNG"),
    "png with transparency": in_mode("RGBA", "PNG"),
    "grey png with transparency": in_mode("LA", "PNG"),
    "palette png": in_mode("P", "PNG"),
    "black and white png": in_mode("1", "PNG"),
    "16-bit png": deep,
    "one pixel": lambda seed: saved(Image.fromarray(pixels(seed, 1, 1)), "PNG"),
    "gif": in_mode("P", "GIF"),
    "animated gif": animated,
}
"""Kinds that TensorFlow reads, so that a served model takes them unchanged."""

CONVERTED: dict[str, Callable[[int], bytes]] = {
    "bmp": in_mode("RGB", "BMP"),
    "palette bmp": in_mode("P", "BMP"),
    "webp": in_mode("RGB", "WEBP"),
    "tiff": in_mode("RGB", "TIFF"),
    "cmyk tiff": in_mode("CMYK", "TIFF"),
}
"""Kinds that are converted to PNG when they are read."""

BROKEN: dict[str, Callable[[int], bytes]] = {
    "truncated jpeg": lambda seed: SERVED["jpeg"](seed)[:-200],
    "truncated png": lambda seed: SERVED["png"](seed)[:-200],
    "truncated gif": lambda seed: SERVED["gif"](seed)[:-200],
    "truncated bmp": lambda seed: CONVERTED["bmp"](seed)[:-200],
    "no bytes": lambda seed: b"",
    "zeros": lambda seed: b"\0" * 1000,
    "text": lambda seed: b"this is a letter to a friend\n" * 20,
    "html": lambda seed: b"<!doctype html><title>404 not found</title>",
    "header alone": lambda seed: SERVED["jpeg"](seed)[:20],
}
"""Files that are not images, or are truncated."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".JPG", ".Png")
