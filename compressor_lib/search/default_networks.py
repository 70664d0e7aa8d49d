"""The networks that a search tries unless its options name them.

A cut at the end of a network saves parameters and bytes. MACs, latency and memory are spent in its first layers, on
large feature maps. Only smaller images and narrower backbones save those.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from compressor_lib.networks.backbones import BACKBONES, find_backbone
from compressor_lib.search.options import BackboneOptions, PruningSearchOptions

_SPENT_IN_THE_FIRST_LAYERS = {"macs", "latency", "memory"}

_SHARES = (3 / 7, 4 / 7, 5 / 7, 6 / 7)  # 96, 128, 160 and 192 of 224 pixels, for which MobileNets have weights

_MOST_BACKBONES = 3

T = TypeVar("T", bound=PruningSearchOptions)


def with_default_networks(options: T, *, name: str, alpha: float, size: int, published_weights: bool) -> T:
    """Fills in the image sizes and further backbones of a search if they are null.

    If MACs, latency or memory are saved or limited, these are up to four smaller sizes and, for a backbone with
    published weights, the three smallest of its narrower relatives. Otherwise they stay null.

    Args:
        options: Options of the search.
        name: Name of the reference model's backbone in the catalogue.
        alpha: Its width multiplier.
        size: Height and width of its images, in pixels.
        published_weights: Whether it starts from its ImageNet weights. Relatives have no others.

    Returns:
        The options with ``backbones`` and ``input_sizes``.
    """
    if not options.costs & _SPENT_IN_THE_FIRST_LAYERS:
        return options
    if options.input_sizes is None:
        options = replace(options, input_sizes=smaller_sizes(name, size))
    if options.backbones is None and published_weights:
        options = replace(options, backbones=narrower_backbones(name, alpha))
    return options


def smaller_sizes(name: str, size: int) -> tuple[int, ...]:
    """Returns up to four smaller image sizes, multiples of 32 pixels, and the size itself.

    Example:
        >>> smaller_sizes("MobileNetV2", 224)
        (96, 128, 160, 192, 224)
    """
    least = find_backbone(name).minimum_size
    smaller = {max(least, 32 * round(share * size / 32)) for share in _SHARES}
    return (*sorted(other for other in smaller if other < size), size)


def narrower_backbones(name: str, alpha: float) -> tuple[BackboneOptions, ...]:
    """Returns the smallest narrower relatives of a backbone with published weights, at most three, widest first.

    Example:
        >>> [backbone.label for backbone in narrower_backbones("MobileNetV2", 1.0)]
        ['MobileNetV2 0.75', 'MobileNetV2 0.5', 'MobileNetV2 0.35']
    """
    backbone = find_backbone(name)
    if backbone.alphas:
        relatives = [BackboneOptions(name, other) for other in backbone.alphas if other < alpha]
    else:
        family = name.rstrip("0123456789")
        others = [other for other in BACKBONES.values() if other.name.rstrip("0123456789") == family]
        relatives = [BackboneOptions(other.name) for other in others if other.parameters < backbone.parameters]
        relatives.sort(key=lambda one: BACKBONES[one.name].parameters)
    return tuple(reversed(relatives[:_MOST_BACKBONES]))
