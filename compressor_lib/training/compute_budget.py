"""How many epochs a compute budget pays for."""

from __future__ import annotations

import keras

from compressor_lib.networks.macs import multiply_adds
from compressor_lib.training.options import PASSES_PER_EPOCH, Distillation


def affordable_epochs(
    compute: float, student: keras.Model, teacher: keras.Model, distillation: Distillation, *, head_epochs: int = 0
) -> int:
    """Returns the number of epochs of the whole student that a compute budget pays for, at least 1.

    Args:
        compute: The budget, in forward passes of the teacher over the training images.
        student: Functional classifier with a fixed input size.
        teacher: Likewise. Its own passes, one for each view, are paid for first.
        distillation: How the student learns from the teacher.
        head_epochs: Epochs of the head alone, which are paid for, too.

    Example:
        A student with a tenth of its teacher's MACs, which learns from 8 views, trains for (35 - 8) / (3 * 0.1) = 90
        epochs if the budget is 35 passes.
    """
    share = multiply_adds(student) / multiply_adds(teacher)
    views = distillation.views if distillation.weight else 0
    return max(1, round((compute - views - head_epochs * share) / (PASSES_PER_EPOCH * share)))
