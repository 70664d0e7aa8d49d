"""What can be known to be wrong before the first node runs, beyond the config's own fields."""

from __future__ import annotations

import importlib.util

from compressor_lib.errors import CompressorError
from pipelines.config import Config


def check_installed() -> None:
    """Looks for TFX, which the base install does not bring, and which has no release for newer Pythons.

    Raises:
        CompressorError: If it is not there.
    """
    if importlib.util.find_spec("tfx") is None:
        raise CompressorError(
            "TFX is not installed, which a run needs: pip install 'auto-compressor[pipelines]', on Python 3.10 or 3.11"
        )


def check_network(config: Config, *, download: bool = True) -> None:
    """Builds the backbone and looks up every connection, so that no training is lost to a typing error.

    Args:
        config: The run's.
        download: Whether ImageNet weights may be fetched; otherwise they are taken to be there.

    Raises:
        CompressorError: If the weights cannot be had or belong to another network, the pictures are too
            small for it, or a connection is unknown or cannot be made.
    """
    from compressor_lib.backbones import find_backbone
    from compressor_lib.connections import searched_connections

    weights = config.backbone.weights
    base = find_backbone(config.backbone.name).build(
        input_size=config.backbone.input_size,
        weights="none" if weights == "imagenet" and not download else weights,
        alpha=config.backbone.alpha,
        preprocess=True,
    )
    searched_connections(base, config.backbone.name, config.search.connections)
