from __future__ import annotations

import pytest
import yaml

from pipelines.config.yaml_values import GivenTwiceError, check_given_once, read_yaml, read_yaml_documents

ONCE = [
    "a: 1\nb: 2",
    "a: {x: 1}\nb: {x: 1}",
    "base: &base {x: 1, y: 2}\none:\n  <<: *base\n  x: 3",
    "one: &one {x: 1}\ntwo: &two {<<: *one, y: 2}\nthree: {<<: *two, x: 3}\nfour: {<<: *two}",
    "- {x: 1}\n- {x: 1}",
    "1: a\n'1': b",
]


@pytest.mark.parametrize("text", ONCE)
def test_a_field_may_stand_in_several_sections(text):
    assert read_yaml(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gate: {max_drop: 0.1}\nname: x\n\ngate: {max_drop: 1}\n", "'gate' is given twice, in line 1 and in line 4"),
        ("gate:\n  max_drop: 0.01\n  max_drop: 0.5\n", "'max_drop' is given twice, in line 2 and in line 3"),
        ("search: {objective: {tau: 1, 'tau': 2}}", "'tau' is given twice, both in line 1"),
        ('- a: 1\n- b: 1\n  "b": 2\n', "'b' is given twice, in line 2 and in line 3"),
        ("x: &x {a: 1}\ny:\n  <<: *x\n  b: 1\n  <<: {c: 1}\n", "'<<' is given twice, in line 3 and in line 5"),
        ("1: a\n0x1: b\n", "1 is given twice, in line 1 and in line 2"),
    ],
)
def test_what_is_given_twice_is_told_with_both_lines(text, expected):
    for read in (read_yaml, check_given_once, lambda text: list(read_yaml_documents(text))):
        with pytest.raises(GivenTwiceError) as refused:
            read(text)
        assert str(refused.value) == f"{expected}: keep one of them"


def test_each_document_is_looked_at():
    assert list(read_yaml_documents("a: 1\n---\na: 2\n")) == [{"a": 1}, {"a": 2}]
    with pytest.raises(GivenTwiceError, match="in line 3 and in line 4"):
        list(read_yaml_documents("a: 1\n---\nb: 2\nb: 3\n"))


def test_json_that_is_damaged_is_left_to_its_own_reader():
    check_given_once('{"a": [')


@pytest.mark.parametrize("text", ["!!set <<: ", "!!set : 1"])
def test_a_key_that_is_a_set_is_refused_as_yaml(text):
    with pytest.raises(yaml.YAMLError):
        read_yaml(text)
