"""Puts the values of a run's runtime parameters into the configuration that its nodes get.

The configuration is compiled into the package, with a marker in place of each runtime parameter
(:func:`pipelines.kubeflow.parameters.pass_config`). The entrypoint, which gets the values, replaces the markers. The
platforms' own placeholders would not work: platforms insert texts into JSON without escaping, so that a quotation mark
in a path would break it.

The module imports only the standard library, because the entrypoint imports it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MARK = "runtime_parameter"
CONFIG = "config"
"""The nodes' execution parameter."""

Json = dict[str, Any]


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
