"""Packages: the pipeline compiled for Kubeflow Pipelines v2 or for Vertex AI."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import yaml

from compressor_lib.deployment.family import member_of
from compressor_lib.errors import CompressorError, unknown
from pipelines.config.config import Config
from pipelines.config.remote_values import STORES, check_unchanged
from pipelines.config.sections.cluster import Resources
from pipelines.config.vertex import NOT_HERE
from pipelines.kubeflow.entrypoint import HTML
from pipelines.kubeflow.kubernetes import give_environment, platform_of
from pipelines.kubeflow.new_data import NODE, look_first
from pipelines.kubeflow.parameters import example_gen_of, make_changeable, pass_config

TARGETS = ("kubeflow", "vertex")
REPORT_NODE = "Report"

_DRIVER = "pipelines.kubeflow.example_gen_driver"
_EXECUTOR = "pipelines.kubeflow.executor"
_TFX_EXECUTOR = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"
_ENTRYPOINT = ["python", "-m", "pipelines.kubeflow.entrypoint"]
# The backend (since 2.14) retries nothing without a maximum duration, which counts from the first attempt: 30 days.
_BACKOFF = {"backoffDuration": "30s", "backoffFactor": 2, "backoffMaxDuration": "2592000s"}
_CLUSTERS_ROOT = "default of kfp-launcher"
"""What the report shows as ``output`` if a package has no pipeline root."""
# Remote paths from which Keras itself can read weights, and TensorFlow other files.
_KERAS_STORES = ("gs://",)

Json = dict[str, Any]
T = TypeVar("T")


def compile_package(config: Config, target: str, *, image: str, code_version: str) -> str:
    """Compiles the pipeline. The same arguments give the same text.

    Args:
        config: The run's configuration. Its ``output`` becomes the pipeline root. If that is a local folder, a package
            for Kubeflow has no pipeline root, and the cluster's own is used.
        target: ``"kubeflow"`` or ``"vertex"``.
        image: Container image of all nodes, preferably with its digest, because the text is part of cache keys.
        code_version: As in :func:`pipelines.pipeline.create_pipeline`.

    Returns:
        For Kubeflow, a PipelineSpec of schema 2.1.0 as YAML; for Vertex, a PipelineJob as JSON. The parameters that
        :mod:`pipelines.kubeflow.parameters` lists can be set for each run.

    Raises:
        CompressorError: If the target is unknown, or does not support the configuration.
    """
    if target not in TARGETS:
        raise unknown("target", target, TARGETS)
    check_compilable(config, target)
    root = config.remote_root
    if root is None:  # a local path is useless in the report, and would differ between machines
        config = config.model_copy(update={"output": _CLUSTERS_ROOT})
    from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig

    from pipelines.pipeline import create_pipeline

    runner = KubeflowV2DagRunner(KubeflowV2DagRunnerConfig(default_image=image, use_pipeline_spec_2_1=True))
    job = runner.run(create_pipeline(config, code_version=code_version, image=image), write_out=False)
    spec = job["pipelineSpec"]
    check_inputs(spec)
    example_gen = example_gen_of(config)
    if target == "kubeflow":
        look_first(spec, example_gen)
    make_changeable(spec, config, target)
    tasks = spec["root"]["dag"]["tasks"]
    config = config.model_copy(
        update={
            "resources": _by_node("resources", config.resources, tasks),
            "disable_cache": list(_by_node("disable_cache", dict.fromkeys(config.disable_cache), tasks)),
        }
    )
    for node, resources in config.resources.items():
        if described := _resource_spec(resources):
            _container(spec, node)["resources"] = described
    for node in config.disable_cache:
        tasks[node].pop("cachingOptions", None)
    if config.retries:
        for task in tasks.values():
            task["retryPolicy"] = {"maxRetryCount": config.retries, **(_BACKOFF if target == "kubeflow" else {})}
    _container(spec, example_gen)["lifecycle"]["preCacheCheck"]["command"] = ["python", "-m", _DRIVER]
    _show_report(spec)
    pass_config(spec, REPORT_NODE, [REPORT_NODE, *([NODE] if target == "kubeflow" else [])])
    if target == "vertex":
        _redact(spec)
        return json.dumps(job, indent=2, sort_keys=True) + "\n"
    if root is not None:
        spec["defaultPipelineRoot"] = root  # for the submitter; the backend does not read it
    for node in spec["root"]["dag"]["tasks"]:
        _repair(spec, node)
    give_environment(spec, config)
    platform = platform_of(spec, config)
    return yaml.safe_dump_all([spec, *([platform] if platform else [])], sort_keys=True)


def _by_node(section: str, values: Mapping[str, T], tasks: Mapping[str, Any]) -> dict[str, T]:
    """Returns the values of a section by the IDs of nodes.

    Args:
        section: Name of the section.
        values: Its values, by the ID of a node or, in a family, by the ID without a member, for the nodes of all.
        tasks: The nodes.

    Raises:
        CompressorError: If there is no such node.
    """
    found: dict[str, T] = {}
    for name in sorted(values, key=lambda name: name in tasks):  # what is given for a single node counts
        nodes = [name] if name in tasks else [node for node in tasks if member_of(node)[0] == name]
        if not nodes:
            raise unknown(f"node in {section}", name, tasks)
        found |= dict.fromkeys(nodes, values[name])
    return found


def check_compilable(config: Config, target: str) -> None:
    """Refuses a configuration that a target does not support.

    Args:
        config: The run's configuration.
        target: ``"kubeflow"`` or ``"vertex"``.

    Raises:
        CompressorError: If the target does not support it; the message has one line for each reason.
    """
    stores = STORES[target]
    reasons = []

    mounts = tuple(volume.prefix for volume in config.volumes)
    readable = (*stores, *mounts)

    def check(field: str, value: str | None, allowed: tuple[str, ...], advice: str) -> None:
        if value is not None and not value.startswith(allowed):
            reasons.append(f"{field} is {value!r}, which the nodes cannot reach: {advice}.")

    root = f"give a pipeline root that begins with {' or '.join(stores)}"
    if target == "kubeflow" and config.remote_root is None:
        if config.output.startswith(mounts):
            reasons.append(
                f"output is {config.output!r}, on a volume, but the cluster keeps artifacts in an object store: {root},"
                " or omit it to use the cluster's own."
            )
    else:
        check("output", config.output, stores, root)
    if config.data.source == "digits":
        reasons.append("data.source is digits, which only local runs can use: give a folder of images or TFRecords.")
    check("data.path", config.data.path, readable, f"put the data below {' or '.join(readable)}")
    if config.endpoint is None:
        check(
            "push.directory" if config.push.directory else "push.directory, by default in output,",
            config.serving_directory, readable, f"set push.directory to a folder below {' or '.join(readable)}",
        )  # fmt: skip
    files = {f"backbone.{field}": getattr(config.backbone, field) for field in ("weights", "model")}
    files |= {f"search.backbones[{n}].weights": one.weights for n, one in enumerate(config.search.backbones or ())}
    for field, value in files.items():
        if value not in (None, "imagenet", "none"):
            allowed = (*_KERAS_STORES, *mounts)
            check(field, value, allowed, "use weights that the nodes can download, such as imagenet")
    files_from = (*_KERAS_STORES, *mounts)
    check("search.latency_table", config.search.latency_table, files_from, f"put it below {' or '.join(files_from)}")
    if target == "kubeflow":
        for field, place in (("data.path", config.data_path), ("push.directory", config.serving_directory)):
            if place.startswith("minio://") and config.s3.endpoint is None:
                reasons.append(
                    f"{field} is {place!r}, and minio:// has no default host: set s3.endpoint to the store's URL, "
                    "such as http://seaweedfs.kubeflow:9000."
                )
            if place.startswith("minio://") and config.s3.secret is None:
                reasons.append(
                    f"{field} is {place!r}, which needs credentials: set s3.secret to the Secret that has them, such "
                    "as mlpipeline-minio-artifact."
                )
        for node, resources in config.resources.items():
            if resources.disk_gb and any(volume.prefix == "/tmp/" for volume in config.volumes):
                reasons.append(f"resources.{node}.disk_gb is for /tmp, where a volume is mounted: remove one of them.")
    if target == "vertex":
        if config.s3.endpoint or config.s3.secret:
            reasons.append("s3 is for clusters only, and Vertex AI cannot read such stores: use gs:// paths instead.")
        if config.volumes:
            reasons.append("volumes are for clusters only, and Vertex AI has none: use gs:// paths instead.")
        if config.security_context:
            reasons.append("security_context is for clusters only: remove it.")
        for node, resources in config.resources.items():
            if resources.node_selector:
                reasons.append(
                    f"resources.{node}.node_selector is for clusters only, because Vertex AI chooses machines itself: "
                    "remove it."
                )
            if resources.disk_gb:
                reasons.append(
                    f"resources.{node}.disk_gb is for clusters only, because Vertex AI's machines have disks: "
                    "remove it."
                )
        if config.endpoint and config.push.directory:
            reasons.append("push.directory and vertex.endpoint are both set: remove one of them.")
        if config.endpoint and config.gate.baseline == "deployed":
            reasons.append(
                "gate.baseline is deployed, but with vertex.endpoint there is no push.directory to read: set it to "
                "blessed."
            )
    elif config.vertex:
        reasons.append(NOT_HERE)
    for field, text in _texts(config.model_dump(mode="json")):
        try:
            check_unchanged(field, text, target)
        except CompressorError as error:
            reasons.append(str(error))
    if target == "kubeflow" and config.gate.baseline == "blessed":
        reasons.append(
            "gate.baseline is blessed, which needs a resolver, but open-source Kubeflow runs none: set it to deployed."
        )
    if reasons:
        raise CompressorError(
            f"the configuration cannot be compiled for {target}:\n" + "\n".join(f"  {reason}" for reason in reasons)
        )


def check_inputs(spec: Json) -> None:
    """Refuses a PipelineSpec in which a task takes one output as two of its inputs.

    The backend's metadata store keeps only one event for an artifact and a task (its Event table is unique), so the
    driver of such a task would fail, after all earlier nodes have run.

    Raises:
        CompressorError: If there is one; the message names the task, the output and the inputs.
    """
    for node, task in spec["root"]["dag"]["tasks"].items():
        taken: dict[tuple[str, str], str] = {}
        for key, source in task.get("inputs", {}).get("artifacts", {}).items():
            made = source["taskOutputArtifact"]
            output = (made["producerTask"], made["outputArtifactKey"])
            if output in taken:
                raise CompressorError(
                    f"node {node} takes output {output[1]} of node {output[0]} twice, as {taken[output]} and as {key}, "
                    "but a platform's metadata store accepts it only once: wire it to one input."
                )
            taken[output] = key


def _texts(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Yields all texts in a configuration, each after the path of its field, such as ``"data.path"``."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _texts(one, f"{field}.{key}" if field else key)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one, field)


def _container(spec: Json, node: str) -> Json:
    """Returns the description of a node's container, which can be changed in place."""
    label = spec["components"][spec["root"]["dag"]["tasks"][node]["componentRef"]["name"]]["executorLabel"]
    return spec["deploymentSpec"]["executors"][label]["container"]


def _resource_spec(resources: Resources) -> Json:
    """Returns a node's resources as in a PipelineSpec; memory is in GB. Empty if none are requested."""
    described: Json = {}
    if resources.cpu:
        described["cpuLimit"] = resources.cpu
    if resources.memory_gb:
        described["memoryLimit"] = resources.memory_gb
    if resources.accelerator:
        described["accelerator"] = {"type": resources.accelerator, "count": str(resources.accelerators)}
    return described


def _show_report(spec: Json) -> None:
    """Gives the report the artifact type that platforms display. TFX lacks it, so our entrypoint translates it."""
    component = spec["components"][spec["root"]["dag"]["tasks"][REPORT_NODE]["componentRef"]["name"]]
    component["outputDefinitions"]["artifacts"]["report"]["artifactType"] = {
        "schemaTitle": HTML,
        "schemaVersion": "0.0.1",
    }
    _container(spec, REPORT_NODE)["command"] = [*_ENTRYPOINT, "--tfx_node_id", REPORT_NODE]


def _redact(spec: Json) -> None:
    """Replaces TFX's executor, which logs credentials, with ours, which does not."""
    for executor in spec["deploymentSpec"]["executors"].values():
        command = executor.get("container", {}).get("command", [])
        command[:] = [_EXECUTOR if word == _TFX_EXECUTOR else word for word in command]


def _repair(spec: Json, node: str) -> None:
    """Makes the changes to a node that the open-source backend needs and Vertex AI does not."""
    container = _container(spec, node)
    # The backend merges components with equal containers, so each command must be unique.
    container["command"] = [*_ENTRYPOINT, "--tfx_node_id", node, *(["--probe"] if node == NODE else [])]
    container.pop("lifecycle", None)  # the backend never runs this hook; NewData replaces it
