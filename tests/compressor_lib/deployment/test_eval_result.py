from __future__ import annotations

import pytest

from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.intervals import PairedCounts


def test_comparison_uses_common_images_only():
    """60 images, of which the baseline knows the class of 40."""
    pairs = PairedCounts(both=30, gained=4, lost=2, neither=4)
    baseline, model = EvalResult.from_counts("", images=60, right=40, pairs=pairs).compared(confidence=0.8)
    assert (baseline.right, baseline.images) == (32, 40)
    assert (model.right, model.images) == (34, 40)
    assert baseline.accuracy == EvalResult.from_counts("", images=40, right=32, confidence=0.8).accuracy


@pytest.mark.parametrize("pairs", [None, PairedCounts(0, 0, 0, 0)])
def test_no_comparison_without_common_images(pairs):
    judged = EvalResult.from_counts("", images=60, right=40, pairs=pairs)
    assert (judged.compared(), judged.change, judged.baseline) == (None, None, None)
