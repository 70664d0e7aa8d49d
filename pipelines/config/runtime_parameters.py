"""Runtime parameters of a compiled package: their fields in the configuration, whose rules their values must meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from compressor_lib.errors import CompressorError
from pipelines.config.config import Config
from pipelines.config.errors import explain
from pipelines.config.remote_values import STORES
from pipelines.config.sections.cluster import Volume

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
"""The configuration's section and field for each parameter. Others have none."""


_PLACES = ("data_path", "push_directory")
"""Parameters for folders that the nodes must reach."""


def check_parameter(name: str, value: object, config: Mapping[str, Any], target: str = "kubeflow") -> None:
    """Holds a value of a runtime parameter to the rules of its field: type, limits and validators.

    A ``span_pattern`` without braces is the name of one span's folder, which the field itself does not take.

    Args:
        name: Name of the parameter.
        value: Its value.
        config: The package's configuration, as ``Config.model_dump`` returns it. Only the fields of the same section
            and ``volumes`` are used, and the fields may be invalid themselves.
        target: ``"kubeflow"`` or ``"vertex"``.

    Raises:
        CompressorError: If the field does not take the value, as in ``gate.min_accuracy is 1.01: it must be at most
            1.``, or the nodes cannot reach the folder.
    """
    if name not in FIELDS or (name == "span_pattern" and isinstance(value, str) and value and "{" not in value):
        return
    section, field = FIELDS[name]
    kind: Any = Config.model_fields[section].annotation
    try:
        TypeAdapter(kind).validate_python({**config[section], field: value})
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False):
            is_of_field = error["loc"][:1] == (field,)
            error["loc"] = (section, *error["loc"])
            words = explain(error, Config)
            # A rule for several fields has no field in its location, but names the first one.
            if is_of_field or words.startswith(f"{section}.{field} "):
                raise CompressorError(words) from None
    if name in _PLACES:
        volumes = [Volume.model_validate(one) for one in config.get("volumes", ())]
        reachable = (*STORES[target], *(volume.prefix for volume in volumes))
        if not str(value).startswith(reachable):
            raise CompressorError(
                f"{section}.{field} is {value!r}, which the nodes cannot reach: give a folder below "
                f"{' or '.join(reachable)}."
            )
