"""The list of a model's classes: known ones keep their places."""

from __future__ import annotations

import shlex

import pytest
import yaml

from components.artifacts.class_list import (
    class_list,
    gone_classes,
    how_to_remove,
    read_class_list,
    write_class_list,
)
from compressor_lib.errors import CompressorError


@pytest.mark.parametrize("counts", [{"fist": 70, "finger": 60}, {"fist": 55, "finger": 65}, {"finger": 1, "fist": 1}])
def test_the_order_does_not_depend_on_the_counts(counts):
    assert class_list({"train": counts, "test": counts}, [], []) == ["finger", "fist"]


def test_class_in_one_split_only_is_in_the_list():
    images = {"train": {"b": 3}, "eval": {"a": 1, "b": 1}, "test": {"c10": 1, "c9": 1}}
    assert class_list(images, [], []) == ["a", "b", "c9", "c10"]


def test_known_classes_keep_their_indices():
    images = {"train": {"aardvark": 3, "finger": 3, "fist": 0}}
    assert class_list(images, ["fist", "palm", "finger"], []) == ["fist", "palm", "finger", "aardvark"]
    assert gone_classes(images, ["fist", "palm", "finger"], []) == ["fist", "palm"]


def test_removed_class_is_left_out():
    images = {"train": {"finger": 3}}
    assert class_list(images, ["fist", "palm", "finger"], ["fist"]) == ["palm", "finger"]
    assert gone_classes(images, ["fist", "palm", "finger"], ["fist"]) == ["palm"]


@pytest.mark.parametrize(
    ("known", "removed", "message"),
    [
        (["cat", "dog"], "dog", r"data\.removed_classes names 'dog', which still has 7 images"),
        (["cat", "dog", "eel"], "eeel", "'eeel', which is not a class of the pushed model. Did you mean 'eel'?"),
    ],
)
def test_invalid_removals_are_rejected_by_name(known, removed, message):
    with pytest.raises(CompressorError, match=message):
        class_list({"train": {"cat": 3, "dog": 5}, "test": {"dog": 2}}, known, [removed])


@pytest.mark.parametrize("known", [[], ["cat", "dog"], ["cat", "dog", "worm"]])
def test_already_removed_class_may_stay_in_the_configuration(known, caplog):
    names = class_list({"train": {"cat": 3, "dog": 5}}, known, ["eel"])
    assert names == (known or ["cat", "dog"])
    assert "'eel', which is not a class of the pushed model: nothing to remove" in caplog.text


@pytest.mark.parametrize("name", ["cat\r", "a\nb", ""])
def test_multiline_name_is_rejected(name):
    with pytest.raises(CompressorError, match="is not one line of text"):
        class_list({"train": {name: 3}}, [], [])


def test_suggested_option_removes_the_classes():
    names = ["it's", "a: b #1", "Hüte"]
    option, value = shlex.split(how_to_remove(names[1:], names[:1]))
    field, _, text = value.partition("=")
    assert (option, field, yaml.safe_load(text)) == ("--set", "data.removed_classes", names)


def test_list_round_trip(tmp_path):
    assert read_class_list(str(tmp_path / "new")) == []
    write_class_list(str(tmp_path / "new"), ["Hüte", "a b"])
    assert read_class_list(str(tmp_path / "new")) == ["Hüte", "a b"]
