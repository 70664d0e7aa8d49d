"""Translators in closed form.

A 1x1 convolution from A's pooled activations to B's original input is a linear regression. Its rows are the positions
of all images. Its normal equations are sums over images: they are accumulated batch by batch, and partial sums combine
by addition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from compressor_lib.errors import CompressorError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Regression:
    """The names of the two taps of a regression (see :mod:`compressor_lib.pretraining.taps`)."""

    source: str
    target: str


@dataclass
class NormalEquations:
    """Sums over images, in float64, from which the regressions are solved and scored.

    X are the rows of a source tap, with a column of ones for the bias. Y are the rows of a target tap.

    Attributes:
        gram: ``X'X`` by source tap, ``[channels + 1, channels + 1]``.
        cross: ``X'Y`` by regression, ``[channels + 1, target channels]``.
        square: The diagonal of ``Y'Y`` by target tap, ``[target channels]``.

    The memory needed does not grow with the number of images.
    """

    gram: dict[str, Array] = field(default_factory=dict)
    cross: dict[Regression, Array] = field(default_factory=dict)
    square: dict[str, Array] = field(default_factory=dict)

    def add(self, taps: Mapping[str, npt.NDArray[np.float32]], regressions: Sequence[Regression]) -> None:
        """Adds a batch.

        Args:
            taps: float32 ``[N, h, w, channels]`` by tap.
            regressions: The regressions to update.
        """
        rows = {
            name: taps[name].reshape(-1, taps[name].shape[-1]).astype(np.float64)
            for name in dict.fromkeys(tap for r in regressions for tap in (r.source, r.target))
        }
        for source in dict.fromkeys(regression.source for regression in regressions):
            x = np.concatenate([rows[source], np.ones((len(rows[source]), 1))], axis=1)
            wanted = [regression for regression in regressions if regression.source == source]
            # One product for the gram and all cross terms, so that X is read only once.
            product = x.T @ np.concatenate([x, *(rows[regression.target] for regression in wanted)], axis=1)
            _accumulate(self.gram, source, product[:, : x.shape[1]])
            start = x.shape[1]
            for regression in wanted:
                end = start + rows[regression.target].shape[1]
                _accumulate(self.cross, regression, product[:, start:end])
                start = end
        for target in dict.fromkeys(regression.target for regression in regressions):
            _accumulate(self.square, target, np.square(rows[target]).sum(axis=0))

    def merge(self, other: NormalEquations) -> NormalEquations:
        """Adds the sums of ``other`` to these and returns these."""
        for mine, theirs in (
            (self.gram, other.gram),
            (self.cross, other.cross),
            (self.square, other.square),
        ):
            for key, value in theirs.items():
                _accumulate(mine, key, value)
        return self

    def solve(self, regression: Regression, ridge: float) -> Array:
        """Returns the kernel and bias of a regression.

        Args:
            regression: The regression.
            ridge: Penalty on the kernel, as a share of the mean variance of the source's channels. The bias is not
                penalised.

        Returns:
            ``[channels + 1, target channels]``, the bias in the last row.

        Raises:
            CompressorError: If the ridge is 0 and the source's channels are linearly dependent.
        """
        gram = self.gram[regression.source]
        count, mean = gram[-1, -1], gram[-1, :-1] / gram[-1, -1]
        # Centring first excludes the bias from the penalty and conditions the system well.
        covariance = gram[:-1, :-1] / count - np.outer(mean, mean)
        target_mean = self.cross[regression][-1] / count
        covariance_xy = self.cross[regression][:-1] / count - np.outer(mean, target_mean)
        variance = np.trace(covariance) / len(covariance)
        penalty = ridge * variance if variance > 0 else 1.0  # if A is constant, any penalty works
        try:
            kernel = np.linalg.solve(covariance + penalty * np.eye(len(covariance)), covariance_xy)
        except np.linalg.LinAlgError as error:
            raise CompressorError(
                f"the channels of {regression.source} are linearly dependent, so its translator to "
                f"{regression.target} has no unique solution; give a ridge above {ridge}."
            ) from error
        return np.vstack([kernel, target_mean - mean @ kernel])

    def r2(self, regression: Regression, solution: Array) -> float:
        """Returns the share of the target's variance that a solution explains on the images summed here.

        It is computed before the translator's ReLU, if there is one. Clipping to the target's range cannot increase a
        squared error, so in that case the result is a lower bound.

        Returns:
            At most 1; negative if the solution is worse than the mean.
        """
        gram, cross = self.gram[regression.source], self.cross[regression]
        square = self.square[regression.target]
        residual = square - 2 * np.sum(solution * cross, axis=0) + np.sum(solution * (gram @ solution), axis=0)
        total = square - cross[-1] ** 2 / gram[-1, -1]
        return float(1 - residual.sum() / max(total.sum(), np.finfo(np.float64).tiny))


def _accumulate(sums: dict, key: object, value: Array) -> None:
    if key in sums:
        sums[key] += value
    else:
        sums[key] = value.copy()
