"""The one order of the classes."""

import itertools

import pytest

from compressor_lib.networks.class_names import natural_order, with_new_classes


@pytest.mark.parametrize(
    "expected",
    [
        ["class1", "class2", "class10"],
        ["2", "10", "a"],
        ["a1b2", "a1b10", "a01b10c", "a2"],
        ["a01", "a1"],
        ["cafe", "café", "cafes", "Zebra", "zoo"],
        ["Cat", "cat", "dog"],
        ["1" * 5000, "2" * 5000],
        ["", "²", "三", "文"],
    ],
    ids=lambda names: ",".join(names)[:20],
)
def test_names_are_sorted_regardless_of_input_order(expected):
    for names in itertools.permutations(expected):
        assert natural_order(names) == expected


def test_duplicate_names_are_removed():
    assert natural_order(["b", "a", "b"]) == ["a", "b"]


def test_known_names_keep_their_order_and_new_names_follow():
    known = ["fist", "finger", "gone"]
    assert with_new_classes(known, ["finger", "new10", "aardvark", "fist", "new2"]) == [
        "fist", "finger", "gone", "aardvark", "new2", "new10",
    ]  # fmt: skip


def test_without_a_known_order_the_names_are_sorted():
    assert with_new_classes([], ["b", "a"]) == ["a", "b"]
