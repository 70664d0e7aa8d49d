from __future__ import annotations

import pytest

from compressor_lib.search.default_networks import narrower_backbones, smaller_sizes, with_default_networks
from compressor_lib.search.options import BackboneOptions, BudgetOptions, ObjectiveOptions, PruningSearchOptions


def filled(*, published_weights: bool = True, **options) -> PruningSearchOptions:
    return with_default_networks(
        PruningSearchOptions(**options), name="MobileNetV2", alpha=0.5, size=128, published_weights=published_weights
    )


@pytest.mark.parametrize(
    "options",
    [
        {"objective": ObjectiveOptions("macs")}, {"objective": ObjectiveOptions("latency")},
        {"objective": ObjectiveOptions("memory")}, {"budgets": BudgetOptions(macs=10**7)},
        {"budgets": BudgetOptions(latency_ms=2.0)}, {"budgets": BudgetOptions(memory_kb=200)},
    ],
)  # fmt: skip
def test_smaller_images_and_narrower_backbones_are_searched_where_they_pay(options):
    search = filled(**options)
    assert search.input_sizes == (64, 96, 128)
    assert search.backbones == (BackboneOptions("MobileNetV2", 0.35),)


@pytest.mark.parametrize("options", [{}, {"objective": ObjectiveOptions("bytes")}, {"budgets": BudgetOptions(bytes=9)}])
def test_they_are_not_where_they_do_not(options):
    assert filled(**options) == PruningSearchOptions(**options)


def test_what_is_given_stays():
    given = {"objective": ObjectiveOptions("macs"), "input_sizes": (128,), "backbones": ()}
    assert filled(**given) == PruningSearchOptions(**given)


def test_random_or_own_weights_have_no_relatives():
    assert filled(objective=ObjectiveOptions("macs"), published_weights=False).backbones is None


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("MobileNetV2", 224, (96, 128, 160, 192, 224)),
        ("EfficientNetB5", 456, (192, 256, 320, 384, 456)),
        ("MobileNetV2", 48, (32, 48)),
        ("MobileNetV2", 32, (32,)),
    ],
)
def test_sizes_are_multiples_of_32_below_the_reference_s(name, size, expected):
    assert smaller_sizes(name, size) == expected


@pytest.mark.parametrize(
    ("name", "alpha", "expected"),
    [
        ("MobileNetV2", 1.4, ["MobileNetV2 0.75", "MobileNetV2 0.5", "MobileNetV2 0.35"]),
        ("MobileNetV2", 0.35, []),
        ("MobileNetV3Large", 1.0, ["MobileNetV3Large 0.75"]),
        ("EfficientNetB5", 1.0, ["EfficientNetB2", "EfficientNetB1", "EfficientNetB0"]),
        ("EfficientNetB0", 1.0, []),
    ],
)
def test_relatives_are_of_the_same_family_and_smaller(name, alpha, expected):
    assert [backbone.label for backbone in narrower_backbones(name, alpha)] == expected
