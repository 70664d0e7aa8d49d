"""How much the pictures of each class count in training, where some classes have many and others few."""

from __future__ import annotations

from collections.abc import Sequence

from compressor_lib.errors import CompressorError


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """Weights with which every class counts the same, however many pictures it has.

    The weight of a class is the number of pictures by the number of classes and of the class's own pictures (King and
    Zeng, Political Analysis 9(2), 2001; scikit-learn's ``class_weight="balanced"``). Over all pictures they are 1 on
    average, so learning rates need not change.

    Args:
        counts: Training pictures of each class, by its index.

    Returns:
        The weight of each class.

    Raises:
        CompressorError: If a class has no pictures.

    Example:
        >>> balanced_weights([30, 10])
        [0.6666666666666666, 2.0]
    """
    if not counts or min(counts) < 1:
        raise CompressorError(
            f"classes of {list(counts)} training pictures cannot be balanced: each class needs at least one."
        )
    return [sum(counts) / (len(counts) * count) for count in counts]
