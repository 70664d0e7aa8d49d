"""The backbones that a search tried, rebuilt to count and measure their sub-networks."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras

from components.options import parsed
from compressor_lib.cuts.surgery import without_head
from compressor_lib.networks.heads import attach_head
from compressor_lib.networks.resizing import resized
from compressor_lib.search.options import BackboneOptions


class SearchedNetworks:
    """Rebuilds backbones by their names and image sizes. Those other than the reference model's have random weights."""

    def __init__(self, reference: keras.Model, further: Sequence[Mapping[str, Any]] = ()) -> None:
        """Builds nothing yet.

        Args:
            reference: The reference model.
            further: Further backbones of the search, as fields of
                :class:`compressor_lib.search.options.BackboneOptions`.
        """
        self.reference = reference
        self._further = {one.label: one for one in (parsed(BackboneOptions, fields) for fields in further)}
        self._own = without_head(reference)

    @functools.cache  # noqa: B019 - lives as long as the report is made
    def base(self, backbone: str, size: int) -> keras.Model:
        """Returns a backbone without a head; the reference model's for a name that is not among the further ones."""
        if backbone in self._further:
            return replace(self._further[backbone], weights="none").build(size)
        return resized(self._own, size)

    def whole(self, backbone: str, size: int) -> keras.Model:
        """Returns an uncompressed classifier: the reference model, or another backbone with a plain head."""
        base = self.base(backbone, size)
        return self.reference if base is self._own else attach_head(base, self.reference.output_shape[-1])
