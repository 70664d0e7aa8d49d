"""The learning rate of fine-tuning: it rises, stays, and falls, as soon as accuracy no longer rises."""

from __future__ import annotations

import math

WARMUP = 0.2
"""Largest share of the steps in which the rate rises."""

DECAY = 0.5
"""Share of the steps in which it falls."""


class LearningRate:
    """The rate at each step: up to its peak along a line, at the peak, and down to 0 along a cosine.

    When it begins to fall may be decided on the way, unlike with one cosine over all steps: warm-up, stable, decay (Hu
    et al., MiniCPM, arXiv:2404.06395, 2024; Hagele et al., arXiv:2405.18392, 2024). Accuracy rises while the rate
    falls, so a training that simply stopped at the peak would lose that.

    Args:
        peak: The highest rate.
        epoch: Number of steps in an epoch.
        epochs: Maximum number of epochs.

    Attributes:
        falls: Step at which it begins to fall.
        ends: Step at which it is 0.

    Example:
        >>> rate = LearningRate(0.1, epoch=10, epochs=6)
        >>> [round(rate.at(step), 3) for step in (0, 5, 10, 30, 45, 60)]
        [0.0, 0.05, 0.1, 0.1, 0.05, 0.0]
        >>> rate.fall_from(20)
        >>> rate.ends
        40
    """

    def __init__(self, peak: float, *, epoch: int, epochs: int) -> None:
        # Adam's first steps are as long as its learning rate, whatever the gradient. At the full rate they would damage
        # the pretrained weights.
        total = epoch * epochs
        self._peak, self._warmup = peak, min(epoch, int(WARMUP * total))
        self.falls, self.ends = total - int(DECAY * total), total

    def at(self, step: int) -> float:
        """Returns the rate of a step."""
        if step < self._warmup:
            return self._peak * step / self._warmup
        if step < self.falls:
            return self._peak
        return self._peak * (1 + math.cos(math.pi * (step - self.falls) / (self.ends - self.falls))) / 2

    def fall_from(self, step: int) -> None:
        """Begins to fall at a step, if it does not fall yet, and ends sooner in proportion."""
        if step < self.falls:
            self.falls, self.ends = step, round(step / (1 - DECAY))
