"""Options of a classifier's head."""

from __future__ import annotations

from dataclasses import dataclass

from compressor_lib.options import Options, option


@dataclass(frozen=True)
class HeadOptions(Options):
    """The classifier on top of the backbone.

    Attributes:
        units: Width of a hidden layer; 0: a softmax layer alone.
        dropout: Dropout rate of the pooled features.

    Raises:
        CompressorError: If a value is out of range.
    """

    units: int = option(0, ge=0)
    dropout: float = option(0.2, ge=0, lt=1)
