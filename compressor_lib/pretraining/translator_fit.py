"""Fits translators before any search: in closed form, without labels, in one pass over the images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np
import numpy.typing as npt

from compressor_lib.cuts.connections import Connection
from compressor_lib.errors import CompressorError
from compressor_lib.pretraining.bank import Translator, TranslatorBank
from compressor_lib.pretraining.options import TranslatorOptions
from compressor_lib.pretraining.regression import NormalEquations, Regression
from compressor_lib.pretraining.taps import source_tap, tapped, target_tap

Images = npt.NDArray[np.generic]


class TranslatorSums:
    """Accumulates the sums that the closed form needs, over batches of images.

    A share of the images, chosen by their content, is held out to score the fit. Instances from disjoint images combine
    with :meth:`merge`, however the images were sharded.
    """

    def __init__(self, held_out: float = TranslatorOptions.held_out) -> None:
        """Starts with empty sums.

        Args:
            held_out: Share of the images, between 0 and 1, that the translators are scored on.
        """
        if not 0 < held_out < 1:
            raise CompressorError(f"held_out is {held_out}: choose a share between 0 and 1.")
        self.held_out = held_out
        self.fitted = NormalEquations()
        self.scored = NormalEquations()

    def add(self, tap_model: keras.Model, images: Images, regressions: Sequence[Regression]) -> None:
        """Runs the tapped backbone on a batch ``[N, h, w, 3]`` and adds its outputs."""
        self.add_taps(tap_model.predict_on_batch(images), images, regressions)

    def add_taps(
        self, taps: Mapping[str, npt.NDArray[np.floating]], images: Images, regressions: Sequence[Regression]
    ) -> None:
        """Adds the outputs of the tapped backbone for a batch of images."""
        scored = np.array([_chance(image) < self.held_out for image in np.asarray(images)])
        for part, sums in ((~scored, self.fitted), (scored, self.scored)):
            if part.any():
                sums.add({name: value[part] for name, value in taps.items()}, regressions)

    def merge(self, other: TranslatorSums) -> TranslatorSums:
        """Adds the sums of ``other`` to these and returns these."""
        self.fitted.merge(other.fitted)
        self.scored.merge(other.scored)
        return self

    def solve(
        self, base: keras.Model, connections: Sequence[Connection], ridge: float = TranslatorOptions.ridge
    ) -> TranslatorBank:
        """Solves every connection's regression.

        Returns:
            The bank. R2 is None for all translators if no image was held out.

        Raises:
            CompressorError: If no image was added.
        """
        if not self.fitted.gram and any(connection.rejoins for connection in connections):
            raise CompressorError("no images to fit translators on; check the training data.")
        translators = {}
        for connection, regression in regressions_of(base, connections).items():
            solution = self.fitted.solve(regression, ridge)
            r2 = self.scored.r2(regression, solution) if self.scored.gram else None
            kernel, bias = solution[:-1].astype(np.float32), solution[-1].astype(np.float32)
            translators[str(connection)] = Translator(kernel, bias, r2)
        return TranslatorBank.for_backbone(base, translators, {"held_out": self.held_out, "ridge": ridge})


def regressions_of(base: keras.Model, connections: Sequence[Connection]) -> dict[Connection, Regression]:
    """Returns the regression of every connection that has a translator."""
    return {
        connection: Regression(source_tap(base, connection), target_tap(connection))
        for connection in connections
        if connection.rejoins
    }


def fit_translators(
    base: keras.Model,
    connections: Sequence[Connection],
    images: Iterable[Images],
    *,
    held_out: float = TranslatorOptions.held_out,
    ridge: float = TranslatorOptions.ridge,
) -> TranslatorBank:
    """Fits the translators of all connections in closed form, in one pass of the backbone.

    Args:
        base: The backbone, without a head.
        connections: The connections. Truncations have no translator and are skipped.
        images: Batches ``[N, h, w, 3]`` of the backbone's input, without labels.
        held_out: Share of the images that the translators are scored on instead of fitted on.
        ridge: Penalty on the kernels, as a share of the mean variance of A's channels.

    Returns:
        The bank, with R2 for each translator.

    Example:
        >>> bank = fit_translators(base, connections, (x for x, _ in dataset))  # doctest: +SKIP
    """
    regressions = list(regressions_of(base, connections).values())
    sums = TranslatorSums(held_out)
    if regressions:
        tap_model = tapped(base, [c for c in connections if c.rejoins], targets=True)
        for batch in images:
            sums.add(tap_model, np.asarray(batch), regressions)
    return sums.solve(base, connections, ridge)


def _chance(image: Images) -> float:
    """Returns a number in 0..1 that depends only on the image's content."""
    digest = hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
