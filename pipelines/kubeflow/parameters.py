"""Runtime parameters: values that can be changed for each run without compiling again.

The package's root has a parameter with a default for each. If it is a whole execution parameter of a node, the node
takes it instead of its constant. If it is a part of one (such as a number in a JSON text), the constant contains a
placeholder, ``{{$.inputs.parameters['name']}}``, as the KFP compiler writes it for composed texts.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from compressor_lib.deployment.family import node_id
from pipelines.config.config import Config
from pipelines.config.runtime_parameters import FIELDS
from pipelines.kubeflow.new_data import NODE
from pipelines.kubeflow.shown_parameters import CONFIG, MARK

Json = dict[str, Any]

_NUMBER, _INTEGER, _TEXT = "NUMBER_DOUBLE", "NUMBER_INTEGER", "STRING"


@dataclass(frozen=True)
class Parameter:
    """A runtime parameter.

    Attributes:
        name: Name in the package's root.
        kind: Type in the pipeline spec.
        node: ID of the node that it is passed to.
        target: The node's execution parameter.
        default: Value in the configuration; None if this configuration has no such parameter.
        within: Puts a placeholder into the JSON value of ``target``; None if the parameter is the whole value.
    """

    name: str
    kind: str
    node: str
    target: str
    default: str | float | int | None
    within: Callable[[Any, str], None] | None = None


def example_gen_of(config: Config) -> str:
    """ID of the node that reads the data."""
    return "ImportExampleGen" if config.data.source == "tfrecord" else "ImageExampleGen"


def parameters_of(config: Config, target: str = "kubeflow") -> list[Parameter]:
    """Lists the runtime parameters of a package.

    Args:
        config: The run's configuration.
        target: ``"kubeflow"``, where a separate node finds the newest spans, or ``"vertex"``.
    """
    example_gen = example_gen_of(config)
    looks, reads = (NODE, [NODE, example_gen]) if target == "kubeflow" else (example_gen, [example_gen])
    search, gate, pattern, window = config.search, config.gate, config.data.span_pattern, config.data.span_window

    def of_members(node: str) -> list[str]:
        return [node_id(node, member) for member in config.members]

    known = [
        *(Parameter("data_path", _TEXT, node, "input_base", config.data_path) for node in reads),
        Parameter("span_pattern", _TEXT, looks, "input_config", pattern, _set_span_pattern(pattern or "")),
        Parameter("span_window", _INTEGER, looks, "range_config", window if window > 1 else None, _set_span_window),
        Parameter("tau", _NUMBER, "PruningSearch", "options", search.tau, _set_option("tau")),
        Parameter("max_trials", _INTEGER, "PruningSearch", "options", search.max_trials, _set_option("max_trials")),
    ]
    for evaluator in of_members("Evaluator"):
        known += [
            Parameter("min_accuracy", _NUMBER, evaluator, "eval_config", gate.min_accuracy, _set_min_accuracy),
            Parameter("max_drop", _NUMBER, evaluator, "eval_config", gate.max_drop, _set_max_drop),
            Parameter("max_class_drop", _NUMBER, evaluator, "eval_config", gate.max_class_drop, _set_max_class_drop),
            Parameter("confidence", _NUMBER, evaluator, "confidence", gate.confidence),
        ]
    if config.endpoint is None:
        nodes = [*of_members("Pusher"), "PreviousRun", "Handover"]
        nodes += of_members("DeployedModel") if gate.baseline == "deployed" else []
        nodes += [NODE] if target == "kubeflow" else []
        known += [
            Parameter("push_directory", _TEXT, node, "push_directory", config.serving_directory) for node in nodes
        ]
    return [parameter for parameter in known if parameter.default is not None]


def make_changeable(spec: Json, config: Config, target: str) -> None:
    """Adds the runtime parameters to a PipelineSpec of schema 2.1.0, in place."""
    parameters = parameters_of(config, target)
    root = spec["root"].setdefault("inputDefinitions", {}).setdefault("parameters", {})
    within: dict[tuple[str, str], list[Parameter]] = defaultdict(list)
    for parameter in parameters:
        root[parameter.name] = {"parameterType": parameter.kind, "defaultValue": parameter.default}
        task = spec["root"]["dag"]["tasks"][parameter.node]
        name = parameter.target if parameter.within is None else parameter.name
        task["inputs"]["parameters"][name] = {"componentInputParameter": parameter.name}
        definitions = spec["components"][task["componentRef"]["name"]]["inputDefinitions"]["parameters"]
        definitions[name] = {"parameterType": parameter.kind}
        if parameter.within is not None:
            within[parameter.node, parameter.target].append(parameter)
    for (node, target), several in within.items():
        value = spec["root"]["dag"]["tasks"][node]["inputs"]["parameters"][target]["runtimeValue"]
        value["constant"] = _with_placeholders(value["constant"], several)


def pass_config(spec: Json, source: str, nodes: Iterable[str]) -> None:
    """Passes all runtime parameters to nodes, and the configuration with their markers, in place.

    Parameters without a field are shown after all sections.

    Args:
        spec: PipelineSpec of schema 2.1.0 with its runtime parameters.
        source: ID of the node that has the configuration.
        nodes: IDs of the nodes.
    """
    tasks, parameters = spec["root"]["dag"]["tasks"], spec["root"]["inputDefinitions"]["parameters"]
    config = json.loads(tasks[source]["inputs"]["parameters"][CONFIG]["runtimeValue"]["constant"])
    for name in parameters:
        *sections, field = FIELDS.get(name, (name,))
        section = config
        for key in sections:
            section = section[key]
        section[field] = {MARK: name}
    for node in nodes:
        task = tasks[node]
        given = task["inputs"]["parameters"]
        definitions = spec["components"][task["componentRef"]["name"]]["inputDefinitions"]["parameters"]
        for name, described in parameters.items():
            given[name] = {"componentInputParameter": name}
            definitions[name] = {"parameterType": described["parameterType"]}
        given[CONFIG] = {"runtimeValue": {"constant": json.dumps(config)}}
        definitions[CONFIG] = {"parameterType": _TEXT}


def _with_placeholders(text: str, parameters: list[Parameter]) -> str:
    value = json.loads(text)
    for parameter in parameters:
        assert parameter.within is not None
        parameter.within(value, f"{{{{$.inputs.parameters['{parameter.name}']}}}}")
    text = json.dumps(value, sort_keys=True)
    numbers = "|".join(parameter.name for parameter in parameters if parameter.kind != _TEXT)
    # Numbers in JSON have no quotes, so their placeholders must not have any.
    return re.sub(rf'"(-?\{{\{{\$\.inputs\.parameters\[\'({numbers})\'\]\}}\}})"', r"\1", text) if numbers else text


def _set_option(name: str) -> Callable[[Any, str], None]:
    """Returns a function that puts a placeholder into a node's options."""

    def put(value: Any, placeholder: str) -> None:
        value[name] = placeholder

    return put


def _set_span_pattern(compiled: str) -> Callable[[Any, str], None]:
    """Returns a function that puts a placeholder in place of the configuration's pattern."""

    def put(value: Any, placeholder: str) -> None:
        (split,) = value["splits"]
        split["pattern"] = placeholder + split["pattern"].removeprefix(compiled)

    return put


def _set_span_window(value: Any, placeholder: str) -> None:
    value["rolling_range"]["num_spans"] = placeholder


def _set_min_accuracy(value: Any, placeholder: str) -> None:
    _thresholds(value)[0]["value_threshold"]["lower_bound"] = placeholder


def _set_max_drop(value: Any, placeholder: str) -> None:
    _thresholds(value)[0]["change_threshold"]["absolute"] = f"-{placeholder}"


def _set_max_class_drop(value: Any, placeholder: str) -> None:
    _thresholds(value)[1]["change_threshold"]["absolute"] = f"-{placeholder}"


def _thresholds(value: Any) -> list[Any]:
    """The thresholds for all images and for each class, from :func:`components.evaluator.tfma_config.eval_config`."""
    accuracy = value["metrics_specs"][0]["metrics"][0]
    return [one["threshold"] for one in accuracy["per_slice_thresholds"]]
