"""Where a pushed model's card is."""

from __future__ import annotations

from compressor_lib.deployment.model_metrics import EXTRA

CARD_FILE = "model_card"
"""In ``assets.extra``, which TensorFlow Serving leaves alone, as ``.md`` and ``.json``."""


def card_path(model: str) -> str:
    """Returns the path or URI of the card for people in a pushed model's folder."""
    return f"{model.rstrip('/')}/{EXTRA}/{CARD_FILE}.md"
