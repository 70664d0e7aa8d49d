"""Puts the values of a run's runtime parameters into the configuration that the report shows.

The configuration is compiled into the package, with a marker in place of each runtime parameter. The entrypoint, which
gets the values, replaces the markers. The platforms' own placeholders would not work: platforms insert texts into JSON
without escaping, so that a quotation mark in a path would break it.

The module imports only the standard library, because the entrypoint imports it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MARK = "runtime_parameter"
CONFIG = "config"
"""The report's execution parameter."""

FIELDS = {
    "data_path": ("data", "path"),
    "span_pattern": ("data", "span_pattern"),
    "span_window": ("data", "span_window"),
    "tau": ("search", "tau"),
    "max_trials": ("search", "max_trials"),
    "min_accuracy": ("gate", "min_accuracy"),
    "max_drop": ("gate", "max_drop"),
    "max_class_drop": ("gate", "max_class_drop"),
    "confidence": ("gate", "confidence"),
    "push_directory": ("push", "directory"),
}
"""The configuration's field for each parameter. Others are shown after all sections."""

Json = dict[str, Any]


def show_in_report(spec: Json, node: str) -> None:
    """Passes all runtime parameters to the report, and puts their markers into its configuration, in place.

    Args:
        spec: PipelineSpec of schema 2.1.0 with its runtime parameters.
        node: ID of the Report node.
    """
    task = spec["root"]["dag"]["tasks"][node]
    given = task["inputs"]["parameters"]
    definitions = spec["components"][task["componentRef"]["name"]]["inputDefinitions"]["parameters"]
    value = given[CONFIG]["runtimeValue"]
    config = json.loads(value["constant"])
    for name, described in spec["root"]["inputDefinitions"]["parameters"].items():
        given[name] = {"componentInputParameter": name}
        definitions[name] = {"parameterType": described["parameterType"]}
        *sections, field = FIELDS.get(name, (name,))
        section = config
        for key in sections:
            section = section[key]
        section[field] = {MARK: name}
    value["constant"] = json.dumps(config)


def with_values(values: Mapping[str, Any]) -> Json:
    """Returns a task's parameters, with the markers in its configuration, if it has one, replaced by values."""
    config = values.get(CONFIG)
    if not isinstance(config, str) or f'"{MARK}"' not in config:
        return dict(values)

    def value_of(found: Json) -> Any:
        if found.keys() != {MARK}:
            return found
        value = values[found[MARK]]
        return int(value) if isinstance(value, float) and value.is_integer() else value  # numbers arrive as doubles

    return {**values, CONFIG: json.dumps(json.loads(config, object_hook=value_of))}
