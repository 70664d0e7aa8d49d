"""The values of this run's runtime parameters, in the configuration that the report shows.

The configuration is compiled into the package, so in place of each value that a run may change it has a mark, for which
the entrypoint, which knows the values, puts the value. A placeholder of the platforms would not do: they put texts
into JSON as they are, so that a quotation mark in a path would break it.

Only the standard library is imported, for the entrypoint.
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
"""The field of the configuration in whose place each parameter is. Others are shown below all sections."""

Json = dict[str, Any]


def show_in_report(spec: Json, node: str) -> None:
    """Gives the report all runtime parameters, and its configuration a mark for each, in place.

    Args:
        spec: A PipelineSpec of schema 2.1.0 with its runtime parameters.
        node: Id of the report's node.
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
    """A task's parameters, with their values in place of the marks in its configuration, if it has one."""
    config = values.get(CONFIG)
    if not isinstance(config, str) or f'"{MARK}"' not in config:
        return dict(values)

    def value_of(found: Json) -> Any:
        if found.keys() != {MARK}:
            return found
        value = values[found[MARK]]
        return int(value) if isinstance(value, float) and value.is_integer() else value  # JSON's numbers are doubles

    return {**values, CONFIG: json.dumps(json.loads(config, object_hook=value_of))}
