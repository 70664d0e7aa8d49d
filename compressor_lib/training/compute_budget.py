"""How many epochs a compute budget pays for."""

from __future__ import annotations

import keras

from compressor_lib.networks.macs import multiply_adds
from compressor_lib.training.options import PASSES_PER_EPOCH


def affordable_epochs(
    compute: float, student: keras.Model, teacher: keras.Model, *, views: int, head_epochs: int = 0
) -> int:
    """Returns the number of epochs of the whole student that a compute budget pays for; 0 if less than half of one.

    Args:
        compute: The budget, in forward passes of the teacher over the training images.
        student: Functional classifier with a fixed input size.
        teacher: Likewise. Its own passes, one for each view, are paid for first.
        views: Number of views that the teacher predicts if there are at least as many epochs. If there are fewer, each
            epoch has one view.
        head_epochs: Epochs of the head alone, which are paid for, too.

    Example:
        A student with a tenth of its teacher's MACs, which learns from 8 views, trains for (35 - 8) / (3 * 0.1) = 90
        epochs if the budget is 35 passes.
    """
    share = multiply_adds(student) / multiply_adds(teacher)
    left = compute - head_epochs * share
    epochs = (left - views) / (PASSES_PER_EPOCH * share)
    if head_epochs + epochs < views:
        epochs = (left - head_epochs) / (PASSES_PER_EPOCH * share + 1)
    return max(0, round(epochs))
