"""The result of a model on some images: counts, and figures with confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass

from compressor_lib.deployment.intervals import CONFIDENCE, Interval, PairedCounts, paired_change, share_interval


@dataclass(frozen=True)
class EvalResult:
    """The result of a model on some images.

    Attributes:
        name: The class of the images; empty for all images.
        images: Number of images.
        right: Number of images that the model classifies correctly.
        accuracy: Accuracy of the model.
        baseline: Accuracy of the baseline, on the images of the classes that both models have; None without a baseline.
        change: Change from the baseline's accuracy to the model's, paired by image; None without a baseline.
        pairs: The counts behind ``baseline`` and ``change``; None without a baseline.
    """

    name: str
    images: int
    right: int
    accuracy: Interval
    baseline: Interval | None = None
    change: Interval | None = None
    pairs: PairedCounts | None = None

    @classmethod
    def from_counts(
        cls, name: str, *, images: int, right: int, pairs: PairedCounts | None = None, confidence: float = CONFIDENCE
    ) -> EvalResult:
        """Computes the figures and their intervals from counts.

        Args:
            name: The class of the images; empty for all images.
            images: Number of images.
            right: Number of images that the model classifies correctly.
            pairs: Counts of the model (new) and the baseline (old) on the images on which they are compared. None, or
                counts of no images, if they are not compared.
            confidence: Confidence of the intervals.

        Example:
            >>> EvalResult.from_counts("cat", images=60, right=59).accuracy.low
            0.9114487027240993
        """
        accuracy = share_interval(right, images, confidence)
        if pairs is None or not pairs.images:
            return cls(name, images, right, accuracy)
        return cls(
            name,
            images,
            right,
            accuracy,
            share_interval(pairs.old_right, pairs.images, confidence),
            paired_change(pairs.gained, pairs.lost, pairs.images, confidence),
            pairs,
        )

    def compared(self, confidence: float = CONFIDENCE) -> tuple[EvalResult, EvalResult] | None:
        """Returns the results of the baseline and the model on the images on which they are compared, or None.

        Args:
            confidence: Confidence of the intervals.
        """
        if self.pairs is None:
            return None
        images, old, new = self.pairs.images, self.pairs.old_right, self.pairs.new_right
        return (
            EvalResult.from_counts(self.name, images=images, right=old, confidence=confidence),
            EvalResult.from_counts(self.name, images=images, right=new, confidence=confidence),
        )
