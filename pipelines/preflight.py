"""What can be known to be wrong before the first node runs, beyond the config's own fields."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from compressor_lib.errors import CompressorError
from pipelines.config import BackboneConfig, Config

if TYPE_CHECKING:
    import keras


def check_installed() -> None:
    """Looks for TFX, which the base install does not bring, and which has no release for newer Pythons.

    Raises:
        CompressorError: If it is not there.
    """
    if importlib.util.find_spec("tfx") is None:
        raise CompressorError(
            "TFX is not installed, which a run needs: pip install 'auto-compressor[pipelines]', on Python 3.10 or 3.11"
        )


def check_pictures(config: Config) -> None:
    """Looks at the layout of a folder of pictures. The pictures themselves are looked at by the first node.

    Args:
        config: The run's.

    Raises:
        CompressorError: If the folder is missing or has no layout that is known, or there is no span.
    """
    from components.image_example_gen import folders

    if config.data.source == "tfrecord":
        return
    for pattern in folders.newest_spans(config.data_path, config.data.span, config.data.window):
        folders.layout(config.data_path, pattern, config.data.splits.model_dump())


def check_network(config: Config, *, download: bool = True) -> None:
    """Builds the backbone and looks up every connection, so that no training is lost to a typing error.

    Args:
        config: The run's.
        download: Whether ImageNet weights may be fetched; otherwise they are taken to be there.

    Raises:
        CompressorError: If the weights cannot be had or belong to another network, the pictures are too
            small for it, a model of one's own cannot be compressed, or a connection is unknown or cannot be made.
    """
    from compressor_lib.families import searched_connections

    searched_connections(_base(config.backbone, download), config.backbone.name, config.search.connections)


def _base(backbone: BackboneConfig, download: bool) -> keras.Model:
    from compressor_lib.backbones import find_backbone
    from compressor_lib.own_model import keep_head, load_own_model
    from compressor_lib.surgery import without_head
    from compressor_lib.tflite import to_tflite

    if backbone.model is not None:
        own = load_own_model(backbone.model, input_size=backbone.input_size, rescale=backbone.rescale)
        if backbone.classes is not None:
            keep_head(own, backbone.classes, backbone.classes)
        to_tflite(own)  # which takes seconds here, and fails after hours in a run
        return without_head(own)
    assert backbone.name is not None
    return find_backbone(backbone.name).build(
        input_size=backbone.input_size,
        weights="none" if backbone.weights == "imagenet" and not download else backbone.weights,
        alpha=backbone.alpha,
        preprocess=True,
    )
