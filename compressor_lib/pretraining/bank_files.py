"""File names of a translator bank. Imports nothing, for code that only reads one of the files."""

MANIFEST = "manifest.json"
"""The identity of the backbone, and how well each translator fits, as ``r2``."""

ARRAYS = "translators.npz"
"""The weights of the translators."""
