"""How a model did on some images, as counts with their intervals."""

from __future__ import annotations

from dataclasses import dataclass

from compressor_lib.deployment.intervals import CONFIDENCE, Interval, PairedCounts, paired_change, share_interval


@dataclass(frozen=True)
class Judged:
    """How a model did on some images.

    Attributes:
        name: The class of the images; empty: all of them.
        images: How many they are.
        right: How many of them the model predicts right.
        accuracy: Of the model.
        baseline: Accuracy of the model it is compared with, on the images of the classes that both have; None where
            there is none.
        change: From the baseline's accuracy to the model's, image by image; likewise.
        pairs: The counts behind ``baseline`` and ``change``; likewise.
    """

    name: str
    images: int
    right: int
    accuracy: Interval
    baseline: Interval | None = None
    change: Interval | None = None
    pairs: PairedCounts | None = None

    @classmethod
    def counted(
        cls, name: str, *, images: int, right: int, pairs: PairedCounts | None = None, confidence: float = CONFIDENCE
    ) -> Judged:
        """Turns counts into figures with their intervals.

        Args:
            name: The class of the images; empty: all of them.
            images: How many they are.
            right: How many of them the model predicts right.
            pairs: The model (new) beside the baseline (old) on the images that they are compared on; None, or counts
                of no image: they are not compared.
            confidence: Of the intervals.

        Example:
            >>> Judged.counted("cat", images=60, right=59).accuracy.low
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

    def compared(self, confidence: float = CONFIDENCE) -> tuple[Judged, Judged] | None:
        """The baseline and the model, on the images on which they are compared; None where they are not.

        Args:
            confidence: Of the intervals.
        """
        if self.pairs is None:
            return None
        images, old, new = self.pairs.images, self.pairs.old_right, self.pairs.new_right
        return (
            Judged.counted(self.name, images=images, right=old, confidence=confidence),
            Judged.counted(self.name, images=images, right=new, confidence=confidence),
        )
