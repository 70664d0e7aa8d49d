"""The last look at a model's classes before it is pushed."""

from __future__ import annotations

import pytest

from components.artifacts.class_list import write_class_list
from components.pusher.class_order import check_class_order
from compressor_lib.errors import CompressorError


@pytest.fixture
def check(tmp_path):
    """Looks at a model of some classes, to be pushed over version 7."""

    def check(*classes: str, pushed: str = "", removed: str = "") -> None:
        write_class_list(str(tmp_path / "model" / "assets.extra"), classes)
        if pushed:
            write_class_list(str(tmp_path / "serving" / "7" / "assets.extra"), pushed.split())
            (tmp_path / "serving" / "7" / "saved_model.pb").touch()
        check_class_order(str(tmp_path / "model"), str(tmp_path / "serving"), removed.split())

    return check


def test_first_model_may_have_any_order(check):
    check("dog", "cat")


def test_unchanged_order_is_accepted(check):
    check("dog", "cat", "aardvark", pushed="dog cat")
    check("dog", "cat", pushed="dog cat")


def test_removed_class_may_be_missing(check):
    check("dog", "cat", pushed="dog eel cat", removed="eel")


@pytest.mark.parametrize("classes", [("cat", "dog"), ("dog",), ("dog", "aardvark", "cat")])
def test_changed_order_is_rejected(check, classes):
    with pytest.raises(
        CompressorError, match=r"in a different order from those of version 7 \(dog, cat\), so it is not"
    ):
        check(*classes, pushed="dog cat")


def test_version_without_class_names_is_skipped(check, tmp_path):
    (tmp_path / "serving" / "8").mkdir(parents=True)
    (tmp_path / "serving" / "8" / "saved_model.pb").touch()
    with pytest.raises(CompressorError, match="in a different order from those of version 7"):
        check("cat", "dog", pushed="dog cat")
