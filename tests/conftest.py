"""Order of the tests: what answers fast comes first."""

import pathlib

import pytest

TESTS = pathlib.Path(__file__).parent
FIRST = ["compressor_lib", "components", "pipelines"]
LAST = "end_to_end"


def rank(item: pytest.Item) -> int:
    """The place of a test's folder in the run."""
    for place, folder in enumerate(FIRST):
        if TESTS / folder in item.path.parents:
            return place
    return len(FIRST) + (TESTS / LAST in item.path.parents)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=rank)
