"""How much the images of each class count in training, where some classes have many and others few."""

from __future__ import annotations

from collections.abc import Sequence

from compressor_lib.errors import CompressorError


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """Weights with which every class counts the same, however many images it has.

    The weight of a class is the number of images by the number of classes and of the class's own images (King and
    Zeng, Political Analysis 9(2), 2001). Over all images they are 1 on average, so learning rates need not change.

    Args:
        counts: Training images of each class, by its index. A class without images has no part in it.

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
        raise CompressorError("no class has training images, so none can be balanced: check the training split.")
    # As scikit-learn's compute_class_weight, which wants every label, and which the library alone does not install.
    return [sum(counts) / (present * count) if count else 1.0 for count in counts]
