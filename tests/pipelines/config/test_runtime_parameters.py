from __future__ import annotations

from typing import Any

import pytest

from compressor_lib.errors import CompressorError
from pipelines.config.config import Config
from pipelines.config.runtime_parameters import FIELDS, check_parameter
from pipelines.config.sections.base import fields_of, section_in

CONFIG: dict[str, Any] = {"data": {"source": "folder"}, "search": {}, "gate": {}, "push": {}}


@pytest.mark.parametrize(("section", "field"), FIELDS.values())
def test_each_field_is_one_of_the_configuration(section, field):
    declared = section_in(fields_of(Config)[section].annotation)
    assert declared is not None
    assert field in fields_of(declared)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("confidence", 2.0, "gate.confidence is 2.0: it must be below 1."),
        ("max_class_drop", -0.1, "gate.max_class_drop is -0.1: it must be at least 0."),
        ("max_drop", 3, "gate.max_drop is 3: it must be at most 1."),
        ("span_window", 1.5, "data.span_window is 1.5: it must be a whole number."),
        ("span_pattern", "", "data.span_pattern is '': it must contain {SPAN}, as in 'span-{SPAN}'."),
        ("data_path", "", "data.path is missing: source folder needs a folder (here or with --data)."),
    ],
)
def test_a_value_is_held_to_the_rules_of_its_field(name, value, message):
    with pytest.raises(CompressorError) as refused:
        check_parameter(name, value, CONFIG)
    assert str(refused.value) == message


def test_a_rule_may_depend_on_another_field_of_the_section():
    check_parameter("data_path", "minio://bucket/records", CONFIG)
    with pytest.raises(CompressorError, match="Beam, which reads TFRecords, does not know minio://"):
        check_parameter("data_path", "minio://bucket/records", {"data": {"source": "tfrecord"}})


@pytest.mark.parametrize(("name", "field"), [("data_path", "data.path"), ("push_directory", "push.directory")])
def test_nodes_must_reach_a_folder(name, field):
    config = {**CONFIG, "volumes": [{"claim": "images", "path": "/mnt/images"}]}
    for place in ("s3://bucket/folder", "/mnt/images/new"):
        check_parameter(name, place, config)
    with pytest.raises(CompressorError, match=f"^{field} is '/mnt/other', which the nodes cannot reach: give a folder"):
        check_parameter(name, "/mnt/other", config)
    with pytest.raises(CompressorError, match="below gs://.$"):
        check_parameter(name, "s3://bucket/folder", CONFIG, "vertex")


def test_a_family_needs_a_trial_for_each_model():
    config = {**CONFIG, "search": {"budgets": {"tiny": {"macs": 5}, "small": {"macs": 9}}}}
    check_parameter("max_trials", 2, config)
    check_parameter("tau", 0.5, {**config, "search": {**config["search"], "max_trials": 1}})  # that is another's fault
    with pytest.raises(CompressorError, match=r"^search\.max_trials is 1, fewer than the 2 budgets"):
        check_parameter("max_trials", 1, config)


def test_other_fields_of_the_section_may_be_invalid():
    config = {**CONFIG, "search": {"tau": {"runtime_parameter": "tau"}, "removed": 1}}
    check_parameter("max_trials", 3, config)
    with pytest.raises(CompressorError, match="search.max_trials is 0"):
        check_parameter("max_trials", 0, config)


@pytest.mark.parametrize(
    ("name", "value"), [("tau", 1.0), ("max_trials", 3.0), ("span_pattern", "span-7"), ("only_new_data", 1)]
)
def test_a_valid_value_passes(name, value):
    check_parameter(name, value, CONFIG)
