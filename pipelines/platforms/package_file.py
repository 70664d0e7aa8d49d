"""Reads compiled packages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from compressor_lib.errors import CompressorError, unknown
from pipelines.config.remote_values import check_pipeline_root, check_unchanged
from pipelines.config.runtime_parameters import check_parameter
from pipelines.config.yaml_values import GivenTwiceError, read_yaml_documents

_NUMBERS = ("NUMBER_DOUBLE", "NUMBER_INTEGER")


@dataclass(frozen=True)
class PackageFile:
    """A file that ``compressor compile`` wrote.

    Attributes:
        path: Path of the file.
        target: Platform that it is compiled for, ``"kubeflow"`` or ``"vertex"``.
        name: Name of the pipeline.
        code_version: Hash of the code that compiled it.
        kinds: Types of the runtime parameters, by name.
        images: Container images of its nodes.
        nodes: IDs of its nodes, in topological order.
        places: Locations of data and artifacts that it names: ``pipeline_root`` and defaults of runtime parameters.
        config: Its configuration, with markers in place of runtime parameters.
    """

    path: Path
    target: str
    name: str
    code_version: str
    kinds: dict[str, str]
    images: tuple[str, ...]
    nodes: tuple[str, ...]
    places: dict[str, str]
    config: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> PackageFile:
        """Reads a package.

        Raises:
            CompressorError: If the file is missing, or is not a package.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise CompressorError(f"package '{path}' does not exist: create one with 'compressor compile'.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise CompressorError(
                f"package '{path}' cannot be read: {error}. Create one with 'compressor compile'."
            ) from error
        try:
            first = next(read_yaml_documents(text))  # JSON is YAML
            spec: Any = first.get("pipelineSpec", first)
            tasks = spec["root"]["dag"]["tasks"]
            behind = {node: task.get("dependentTasks", ()) for node, task in tasks.items()}
            search = tasks["PruningSearch"]["inputs"]["parameters"]
            report = tasks["Report"]["inputs"]["parameters"]
            parameters = spec["root"]["inputDefinitions"]["parameters"]
            executors = spec["deploymentSpec"]["executors"].values()
            places = {name: parameters.get(name, {}).get("defaultValue") for name in ("data_path", "push_directory")}
            places["pipeline_root"] = first.get("runtimeConfig", {}).get("gcsOutputDirectory") or spec.get(
                "defaultPipelineRoot"
            )
            return cls(
                path,
                "vertex" if "pipelineSpec" in first else "kubeflow",
                spec["pipelineInfo"]["name"],
                search["code_version"]["runtimeValue"]["constant"],
                {name: described["parameterType"] for name, described in parameters.items()},
                tuple(dict.fromkeys(one["container"]["image"] for one in executors if "container" in one)),
                tuple(TopologicalSorter(behind).static_order()),
                {name: place for name, place in places.items() if place},
                json.loads(report["config"]["runtimeValue"]["constant"]),
            )
        except GivenTwiceError as error:
            raise CompressorError(f"package '{path}': {error}, or create one with 'compressor compile'.") from error
        except (yaml.YAMLError, StopIteration, KeyError, TypeError, AttributeError, CycleError) as error:
            raise CompressorError(
                f"'{path}' is not a package of this project: create one with 'compressor compile'."
            ) from error

    def check(self, target: str, code_version: str | None) -> None:
        """Refuses a package for another target or of other code.

        Args:
            target: Platform to run on.
            code_version: Hash of the installed code; None to accept a package of any version.
        """
        if target != self.target:
            raise CompressorError(
                f"package '{self.path}' is compiled for {self.target}: compile it for {target}, or give --target "
                f"{self.target}."
            )
        if code_version not in (None, self.code_version):
            raise CompressorError(
                f"package '{self.path}' was compiled by another version of auto-compressor: compile it again, with an "
                "image of this version, or accept it with --any-version."
            )

    def pipeline_root(self, given: str | None) -> str | None:
        """Returns the pipeline root of a run; None for the platform's default.

        Args:
            given: Pipeline root that replaces the package's own.

        Raises:
            CompressorError: If the platform's nodes could not write there.
        """
        if given is not None:
            check_pipeline_root(given, self.target)
        return given or self.places.get("pipeline_root")

    def values(self, given: Sequence[str]) -> dict[str, str | float | int]:
        """Parses runtime parameters from a command line.

        Args:
            given: Such as ``["tau=0.8", "data_path=gs://bucket/images"]``.

        Raises:
            CompressorError: If one is unknown, its field in the configuration does not take the value, or the platform
                would change it.
        """
        values: dict[str, str | float | int] = {}
        for text in given:
            name, equals, value = text.partition("=")
            if not equals:
                raise CompressorError(f"--param {text!r} is not of the form name=value.")
            if name not in self.kinds:
                raise unknown("parameter", name, self.kinds)
            if self.kinds[name] in _NUMBERS:
                values[name] = self._number(name, text)
            else:
                check_unchanged(f"--param {text!r}", value, self.target)
                values[name] = value
            try:
                check_parameter(name, values[name], self.config, self.target)
            except CompressorError as error:
                raise CompressorError(f"--param {text!r}: {error}") from None
        return values

    def _number(self, name: str, text: str) -> float | int:
        """Parses a runtime parameter that is a number."""
        try:
            number = float(json.loads(text.partition("=")[2]))
        except (ValueError, TypeError, OverflowError):
            raise CompressorError(f"--param {text!r}: {name} must be a number.") from None
        if self.kinds[name] != "NUMBER_INTEGER":
            return number
        if not number.is_integer():  # neither are infinity and NaN
            raise CompressorError(f"--param {text!r}: {name} must be a whole number.")
        return int(number)
