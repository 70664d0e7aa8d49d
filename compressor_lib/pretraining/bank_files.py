"""Names of the files of a translator bank, for those who read no more than one of them; nothing is imported."""

MANIFEST = "manifest.json"
"""Which backbone the bank belongs to, and how well each translator fits, as ``r2``."""

ARRAYS = "translators.npz"
"""The weights."""
