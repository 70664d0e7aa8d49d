"""By which names files are taken for images. TensorFlow is not imported."""

from __future__ import annotations

SUFFIXES = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png")
"""Ends of the names of files that are taken for pictures, in small letters."""
