"""The location of a pushed model's card."""

from __future__ import annotations

from compressor_lib.deployment.model_metrics import EXTRA

CARD_FILE = "model_card"
"""In ``assets.extra``, which TensorFlow Serving ignores, as ``.md`` and ``.json``."""


def card_path(model: str) -> str:
    """Returns the path or URI of the human-readable card in a pushed model's folder."""
    return f"{model.rstrip('/')}/{EXTRA}/{CARD_FILE}.md"
