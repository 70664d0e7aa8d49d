"""Class weights for training on data with unbalanced classes."""

from __future__ import annotations

from collections.abc import Sequence

from compressor_lib.errors import CompressorError


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """Returns weights that give every class the same total weight, whatever its number of images.

    The weight of a class is the total number of images divided by the number of classes and by the number of images of
    the class (King and Zeng, Political Analysis 9(2), 2001). The average weight over all images is 1, so learning rates
    need not change.

    Args:
        counts: Number of training images of each class, by class index. Classes without images are ignored.

    Returns:
        The weight of each class; 1 for one without images.

    Raises:
        CompressorError: If no class has images.

    Example:
        >>> balanced_weights([30, 10])
        [0.6666666666666666, 2.0]
    """
    present = sum(count > 0 for count in counts)
    if not present:
        raise CompressorError("no class has training images, so none can have a weight: check the training split.")
    # Like scikit-learn's compute_class_weight, which needs every label, and which the library does not depend on.
    return [sum(counts) / (present * count) if count else 1.0 for count in counts]
