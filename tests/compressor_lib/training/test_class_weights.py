import pytest

from compressor_lib.errors import CompressorError
from compressor_lib.training.class_weights import balanced_weights


def test_every_class_has_the_same_total_weight():
    counts = [60, 30, 10]
    total = [count * weight for count, weight in zip(counts, balanced_weights(counts), strict=True)]
    assert total == pytest.approx([100 / 3] * 3)


def test_even_classes_need_no_weights():
    assert balanced_weights([7, 7]) == [1, 1]


def test_a_class_without_images_changes_nothing_for_the_others():
    even, large, small = balanced_weights([0, 30, 10])
    assert [large, small] == balanced_weights([30, 10])
    assert even == 1


@pytest.mark.parametrize("counts", [[], [0, 0]])
def test_no_images_are_rejected(counts):
    with pytest.raises(CompressorError, match="no class has training images"):
        balanced_weights(counts)
