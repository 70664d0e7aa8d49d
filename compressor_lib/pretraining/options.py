"""Options of :func:`compressor_lib.pretraining.translator_fit.fit_translators`."""

from __future__ import annotations

from dataclasses import dataclass

from compressor_lib.options import Options, option


@dataclass(frozen=True)
class TranslatorOptions(Options):
    """Options for fitting translators.

    Attributes:
        held_out: Share of the images that are held out to measure R2.
        ridge: Ridge penalty on the translators' kernels, as a share of the mean variance of their input channels.

    Raises:
        CompressorError: If a value is out of range.
    """

    held_out: float = option(0.1, gt=0, lt=1)
    ridge: float = option(1e-3, ge=0)
