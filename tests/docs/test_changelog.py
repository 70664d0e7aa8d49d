"""What the changelog names is there."""

from __future__ import annotations

import importlib
import inspect
import pathlib
import re

import pytest

from compressor_lib import hypermodels

ROOT = pathlib.Path(__file__).parents[2]
TEXT = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
# Not of the first column, which has the names of before.
NOW = re.sub(r"^\| `[^|]*\|", "", TEXT, flags=re.MULTILINE)
NAMES = sorted(set(re.findall(r"(?<!_)\bcompressor_lib(?:\.\w+)+", NOW)))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_library_is_there(name):
    module, _, attribute = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        assert hasattr(importlib.import_module(module), attribute)


def test_what_published_hypermodels_take_now_is_there():
    table = dict(re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", TEXT, re.MULTILINE))
    arguments = set(inspect.signature(hypermodels.HyperCompressor.__init__).parameters)
    published, _, later = TEXT.partition("What breaks for users of a development version")
    of_the_library = later.partition("To the library:")[2].partition("With the extra")[0]
    named = re.findall(r"`(\w+)=", published + of_the_library) + re.findall(r"`(\w+)`", table["further attributes"])
    assert {"translators", "connections", "backbone", "input_shape", "cache_features", "cost", "budgets"} <= {*named}
    assert set(named) <= arguments

    compressor = hypermodels.HyperCompressedEfficientNetB5
    assert table["argument of `HyperCompressedEfficientNetB5`"] == "`max_parameters`"
    assert "max_parameters" in inspect.signature(compressor).parameters
    given = hypermodels.HyperCompressedMobileNetV2(2.3e6, 5, 0.4, weights=None, input_shape=32)
    for attribute in re.findall(r"`(\w+)`", table["attributes, for subclasses"]):
        assert getattr(given, attribute) == {"num_classes": 5, "max_parameters": 2.3e6, "tau": 0.4}[attribute]
