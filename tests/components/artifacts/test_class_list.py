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


def test_a_class_of_one_split_alone_is_in_the_list():
    images = {"train": {"b": 3}, "eval": {"a": 1, "b": 1}, "test": {"c10": 1, "c9": 1}}
    assert class_list(images, [], []) == ["a", "b", "c9", "c10"]


def test_known_classes_keep_their_places_with_images_or_without():
    images = {"train": {"aardvark": 3, "finger": 3, "fist": 0}}
    assert class_list(images, ["fist", "palm", "finger"], []) == ["fist", "palm", "finger", "aardvark"]
    assert gone_classes(images, ["fist", "palm", "finger"], []) == ["fist", "palm"]


def test_a_removed_class_leaves_its_place():
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
def test_what_cannot_be_removed_is_refused_by_name(known, removed, message):
    with pytest.raises(CompressorError, match=message):
        class_list({"train": {"cat": 3, "dog": 5}, "test": {"dog": 2}}, known, [removed])


@pytest.mark.parametrize("known", [[], ["cat", "dog"], ["cat", "dog", "worm"]])
def test_a_class_that_is_removed_already_may_stay_in_the_configuration(known, caplog):
    names = class_list({"train": {"cat": 3, "dog": 5}}, known, ["eel"])
    assert names == (known or ["cat", "dog"])
    assert "'eel', which is not a class of the pushed model: nothing to remove" in caplog.text


@pytest.mark.parametrize("name", ["cat\r", "a\nb", ""])
def test_a_name_that_is_not_a_line_is_refused(name):
    with pytest.raises(CompressorError, match="is not one line of text"):
        class_list({"train": {name: 3}}, [], [])


def test_the_words_to_remove_classes_are_read_as_they_are_meant():
    names = ["it's", "a: b #1", "Hüte"]
    option, value = shlex.split(how_to_remove(names[1:], names[:1]))
    field, _, text = value.partition("=")
    assert (option, field, yaml.safe_load(text)) == ("--set", "data.removed_classes", names)


def test_a_list_is_read_as_it_was_written(tmp_path):
    assert read_class_list(str(tmp_path / "new")) == []
    write_class_list(str(tmp_path / "new"), ["Hüte", "a b"])
    assert read_class_list(str(tmp_path / "new")) == ["Hüte", "a b"]
