"""A stand-in for the backend of Kubeflow Pipelines v2 that runs a compiled package, task by task, on this machine.

It treats a package, its tasks and their files like the open-source backend, and refuses the same things. The docstrings
name the Go functions that it follows (kubeflow/pipelines, below ``backend/src``; read at 2.17, the older layout at
2.14). Of pods, it reproduces the environment, which launcher and container share, and the names of volumes. It does not
support the rest of pods, retries, loops, nested pipelines and other forms of conditions than ours.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kubeflow_protojson as protojson
import yaml
from kfp.pipeline_spec import pipeline_spec_pb2 as pb
from kubeflow_errors import Refused, TaskFailed
from kubeflow_pod import Start, execute, expanded, fresh_process, variables_of
from kubeflow_store import ObjectStore, is_remote, local_path

Json = dict[str, Any]

LOGS = "executor-logs"
LONGEST_ARGUMENT = 128 * 1024  # MAX_ARG_STRLEN of Linux
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
OWN_VOLUMES = {
    "kfp-launcher", "gcs-scratch", "s3-scratch", "minio-scratch", "dot-local-scratch", "dot-cache-scratch",
    "dot-config-scratch",
}  # fmt: skip
"""Volumes of every pod (v2/compiler/argocompiler/container.go)."""
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True)
class Release:
    """The differences between releases.

    Attributes:
        task_folder: Whether outputs have names, and the response is beside them rather than in ``/tmp`` (2.15).
        log_of_try: Whether the log's name ends with the number of the attempt (2.16.1).
        has_boundary: Whether a download of ``model`` excludes ``model_run`` (2.17).
        has_security_context: Whether a container's security context is supported (2.16).
    """

    task_folder: bool = True
    log_of_try: bool = True
    has_boundary: bool = True
    has_security_context: bool = True


RELEASES = {
    "2.14": Release(task_folder=False, log_of_try=False, has_boundary=False, has_security_context=False),
    "2.15": Release(log_of_try=False, has_boundary=False, has_security_context=False),
    "2.16": Release(has_boundary=False),
    "2.17": Release(),
}
"""The releases by name; ``2.16`` is 2.16.1."""

SESSION = {
    "Provider": "minio",
    "Params": {
        "accessKeyKey": "accesskey", "disableSSL": "true", "endpoint": "seaweedfs.kubeflow:9000", "fromEnv": "false",
        "maxRetries": "5", "region": "minio", "secretKeyKey": "secretkey", "secretName": "mlpipeline-minio-artifact",
    },
}  # fmt: skip
"""The launcher's access to the store, which is recorded with each artifact."""


@dataclass
class Package:
    """A package that the API server has accepted.

    Attributes:
        spec: The pipeline spec.
        components: The components that the compiler keeps: one for each container, by the container's hash.
        hashes: The hash of each component's container.
        kubernetes: KubernetesExecutorConfigs, by executor.
    """

    spec: Json
    kubernetes: Json = field(default_factory=dict)
    components: dict[str, tuple[Json, Json]] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)

    @property
    def tasks(self) -> Json:
        """The tasks, by name."""
        return self.spec["root"]["dag"]["tasks"]

    @property
    def parameters(self) -> Json:
        """The runtime parameters' definitions, by name."""
        return self.spec["root"].get("inputDefinitions", {}).get("parameters", {})


def load(text: str) -> Package:
    """Reads a package like the API server.

    ``NewV2SpecTemplate`` (apiserver/template/v2_template.go), ``Accept`` (v2/compiler/visitor.go) and
    ``saveComponentSpec`` (v2/compiler/argocompiler/argo.go).
    """
    specs, platforms = [], []
    for document in yaml.safe_load_all(text):
        (specs if "pipelineInfo" in document or "root" in document else platforms).append(document)
    if len(specs) != 1 or len(platforms) > 1:
        raise Refused(f"{len(specs)} pipeline specs and {len(platforms)} platform specs")
    protojson.check(specs[0], pb.PipelineSpec())
    for platform in platforms:
        protojson.check(platform, pb.PlatformSpec())
    kubernetes = platforms[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"] if platforms else {}
    for name, described in kubernetes.items():
        _check_volumes(name, described)
    package = Package(specs[0], kubernetes)
    if package.spec.get("schemaVersion") != "2.1.0":
        raise Refused("KFP only supports schema version 2.1.0")
    if not NAME.match(package.spec["pipelineInfo"]["name"]):
        raise Refused("invalid v2 pipeline spec: name should consist of lower case alphanumeric characters")
    executors = package.spec["deploymentSpec"]["executors"]
    for name, task in sorted(package.tasks.items()):
        component = package.spec["components"][task["componentRef"]["name"]]
        executor = executors.get(component["executorLabel"])
        if executor is None or "container" not in executor:
            raise Refused(f"{name}: non-container and non-importer executor not implemented")
        container = executor["container"]
        if not container.get("command"):
            raise Refused(f"{name}: a container needs a command")
        _check_types(component)
        for producer in _producers(task):
            if producer not in package.tasks:
                raise Refused(f"{name}: its producer {producer} does not exist")
        digest = hashlib.sha256(json.dumps(container, sort_keys=True).encode()).hexdigest()
        package.components.setdefault(digest, (component, container))
        package.hashes[name] = digest
    return package


def _check_types(component: Json) -> None:
    """``getArtifactSchema`` (v2/component/launcher_v2.go), ``GetOrInsertArtifactType`` (v2/metadata/client.go)."""
    for definitions in (component.get("inputDefinitions", {}), component.get("outputDefinitions", {})):
        for name, described in definitions.get("artifacts", {}).items():
            kind = described["artifactType"]
            if "schemaUri" in kind:
                raise Refused(f"{name}: SchemaUri is unsupported")
            if "instanceSchema" in kind and not (yaml.safe_load(kind["instanceSchema"]) or {}).get("title"):
                raise Refused(f"{name}: instance schema without a title")


def _check_volumes(name: str, described: Json) -> None:
    """``makeVolumeMountPatch`` (v2/driver/k8s.go); Kubernetes accepts only one volume for each name and path."""
    mounts = [(one["constant"], one["mountPath"]) for one in described.get("pvcMount", [])]
    mounts += [(one["volumeName"], one["mountPath"]) for one in described.get("emptyDirMounts", [])]
    volumes = [volume for volume, _ in mounts]
    for volume, path in mounts:
        if not LABEL.fullmatch(volume):
            raise Refused(f"{name}: volume {volume!r}: a lowercase RFC 1123 label must consist of")
        if volumes.count(volume) > 1 or volume in OWN_VOLUMES:
            raise Refused(f"{name}: volume {volume!r} is there already")
        if [taken for _, taken in mounts].count(path) > 1:
            raise Refused(f"{name}: mountPath {path!r}: must be unique")


@dataclass
class Done:
    """A task that was run or taken from the cache.

    Attributes:
        outputs: RuntimeArtifacts as the metadata store returns them, by key.
        parameters: Output parameters, by key.
        cached: Whether it was taken from the cache.
        seconds: Duration of its process.
        log: Output of its process.
    """

    outputs: dict[str, Json]
    parameters: Json
    cached: bool
    seconds: float
    log: str = ""


class Backend:
    """A cluster with an object store, a metadata store and a cache, which persist between runs."""

    def __init__(
        self,
        folder: Path,
        *,
        root: str = "minio://mlpipeline/v2/artifacts",
        layout: str = "2.17",
        logs: bool = True,
        namespace: str = "kubeflow",
    ) -> None:
        """Sets up the cluster.

        Args:
            folder: Folder for all its files.
            root: The pipeline root.
            layout: The backend's version, in :data:`RELEASES`.
            logs: Whether tasks have the output ``executor-logs``, which is the default.
            namespace: Namespace of the runs; each has its own cache.
        """
        self.root, self.layout, self.logs, self.namespace = root, layout, logs, namespace
        self.release = RELEASES[layout]
        self.store = ObjectStore(folder / "store", has_boundary=self.release.has_boundary)
        self.environment = dict(os.environ)
        """Environment of every pod, besides the package's; the launcher uses it for the store of an ``s3://`` root."""
        self.secrets: dict[str, Mapping[str, str]] = {}
        """The fields of the namespace's Secrets, by name."""
        self.contained: Callable[[list[str], Path], list[str]] = lambda command, local: command
        """Returns the command that runs another in a container with a mounted folder; by default, without container."""
        self.start: Start = fresh_process
        """Starts a task's process."""
        self._artifacts = 0
        self._cache: dict[tuple[str, str], tuple[dict[str, Json], Json]] = {}
        self._runs = 0

    def run(self, package: Package, parameters: Mapping[str, Any] | None = None) -> dict[str, Done]:
        """Runs a package; returns the outcomes of the tasks that were not skipped by name, in order."""
        self._runs += 1
        values = root_values(package, parameters or {})
        done: dict[str, Done] = {}
        for name in in_order(package):
            task = package.tasks[name]
            # ``depends`` (v2/compiler/argocompiler/dag.go): tasks that depend on a skipped task do not run.
            if _producers(task) <= done.keys() and _is_triggered(package, name, values, done):
                done[name] = self.task(package, name, values, done)
        return done

    def task(self, package: Package, name: str, values: Json, done: Mapping[str, Done]) -> Done:
        """Runs one task: the driver's part, then the launcher's."""
        component, container = package.components[package.hashes[name]]
        inputs = resolved(name, package.tasks[name], component, values, done)
        with tempfile.TemporaryDirectory() as folder:  # a new pod, without files of other tasks
            local = Path(folder)
            pipeline = package.spec["pipelineInfo"]["name"]
            outputs = self._provisioned(f"{pipeline}/run-{self._runs}/{name}", component, local)
            key = self.namespace, _fingerprint(package, component, inputs, outputs, container)
            is_cacheable = package.tasks[name].get("cachingOptions", {}).get("enableCache", False)
            if is_cacheable and key in self._cache:
                return Done(*self._cache[key], True, 0.0)
            variables = self._variables(package, name)
            environment = {**self.environment, **variables}
            for artifact in _each(inputs["artifacts"]):
                if is_remote(artifact["uri"]):
                    self._open(name, artifact["uri"], environment)
                    self.store.download(artifact["uri"], local)
            for artifact in _each(outputs["artifacts"]):
                local_path(artifact["uri"], local).parent.mkdir(parents=True, exist_ok=True)
            for parameter in outputs["parameters"].values():
                Path(parameter["outputFile"]).parent.mkdir(parents=True, exist_ok=True)
            started = time.monotonic()
            log = self._execute(name, container, {"inputs": inputs, "outputs": outputs}, local, variables)
            seconds = time.monotonic() - started
            answer = answer_in(Path(outputs["outputFile"]))
            recorded = {}
            for output, given in outputs["artifacts"].items():
                (artifact,) = given["artifacts"]
                said = answer.get("artifacts", {}).get(output, {}).get("artifacts", []) if output != LOGS else []
                if said:
                    merge(said[0], artifact)
                if is_remote(artifact["uri"]):  # others are left as they are
                    self._open(name, artifact["uri"], environment)
                    self.store.upload(artifact["uri"], local)
                recorded[output] = self._recorded(output, artifact)
            parameters = _collected(name, component, outputs, answer)
        if is_cacheable:
            self._cache[key] = recorded, parameters
        return Done(recorded, parameters, False, seconds, log)

    def files(self, artifact: Json) -> dict[str, Path]:
        """The files of an artifact in the object store, by relative path."""
        folder = self.store.path(artifact["uri"])
        if folder.is_file():
            return {"": folder}
        return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}

    def _provisioned(self, task: str, component: Json, local: Path) -> Json:
        """``provisionOutputs`` (v2/driver/driver.go)."""
        folder = f"{self.root}/{task}/{self._artifacts:08x}-uuid"
        declared = component.get("outputDefinitions", {})
        keys = {key: given["artifactType"] for key, given in declared.get("artifacts", {}).items()}
        if self.logs:
            keys[LOGS] = {"schemaTitle": "system.Artifact"}
        artifacts = {key: {"artifacts": [{"type": kind, "uri": f"{folder}/{key}"}]} for key, kind in keys.items()}
        parameters = {
            key: {"outputFile": str(local / "tmp/kfp/outputs" / key)} for key in declared.get("parameters", {})
        }
        outputs = {"artifacts": artifacts, "parameters": parameters}
        if not self.release.task_folder:
            return {**outputs, "outputFile": str(local / "tmp/kfp_outputs/output_metadata.json")}
        for key, given in artifacts.items():
            given["artifacts"][0]["name"] = key
        return {**outputs, "outputFile": str(local_path(folder, local) / "output_metadata.json")}

    def _variables(self, package: Package, name: str) -> dict[str, str]:
        """The variables that Kubernetes sets in a task's pod: ``extendPodSpecPatch`` (v2/driver/k8s.go)."""
        component, container = package.components[package.hashes[name]]
        described = package.kubernetes.get(component["executorLabel"], {})
        if "securityContext" in described and not self.release.has_security_context:
            raise Refused(f'{name}: failed to unmarshal kubernetes config: unknown field "securityContext"')
        variables = variables_of(container)
        for secret in described.get("secretAsEnv", []):
            if secret["secretName"] not in self.secrets:
                raise TaskFailed(f"{name}: CreateContainerConfigError: secret {secret['secretName']!r} not found")
            fields = self.secrets[secret["secretName"]]
            variables |= {one["envVar"]: fields[one["secretKey"]] for one in secret["keyToEnv"]}
        return variables

    def _open(self, name: str, uri: str, environment: Mapping[str, str]) -> None:
        """``OpenBucket`` (v2/objectstore/object_store.go): AWS's SDK uses the environment's credentials."""
        own, found = ({key: of[key] for key in of if key.startswith("AWS_")} for of in (self.environment, environment))
        if uri.startswith("s3://") and own != found:
            raise TaskFailed(f"{name}: {uri}: all artifact attempts failed with {', '.join(found)} of the environment")

    def _execute(self, name: str, container: Json, given: Json, local: Path, variables: Mapping[str, str]) -> str:
        """``compileCmdAndArgs`` and ``execute`` (v2/component/launcher_v2.go).

        Both the driver and the launcher get all of it as arguments, in which Kubernetes expands variables.
        """
        log = None
        if LOGS in given["outputs"]["artifacts"]:
            # ``qualifyExecutorLogsForRetry``, ``getLogWriter``: the log exists before the process starts.
            (logs,) = given["outputs"]["artifacts"][LOGS]["artifacts"]
            logs["uri"] += "-0" if self.release.log_of_try else ""
            log = local_path(logs["uri"], local)
        given, container = (
            json.loads(expanded(expanded(json.dumps(one), variables), variables)) for one in (given, container)
        )
        Path(given["outputs"]["outputFile"]).parent.mkdir(parents=True, exist_ok=True)
        command = self.contained(command_of(name, container, given), local)
        environment = {**self.environment, **variables, "COMPRESSOR_MOUNTS_ROOT": str(local)}
        return execute(name, command, local, environment, log, self.start)

    def _recorded(self, key: str, artifact: Json) -> Json:
        """``RecordArtifact``, ``StructValueToMLMDValue`` and ``toRuntimeArtifact`` (v2/metadata)."""
        self._artifacts += 1
        metadata = {name: _kept(name, value) for name, value in artifact.get("metadata", {}).items()}
        return {
            "name": str(self._artifacts),
            "type": {"instanceSchema": ""},
            "uri": artifact["uri"],
            "metadata": {**metadata, "display_name": key, "store_session_info": json.dumps(SESSION)},
        }


def command_of(name: str, container: Json, given: Json) -> list[str]:
    """The command of a container, with placeholders filled from an ExecutorInput."""
    executor_input = protojson.write(given, pb.ExecutorInput())
    values = {
        f"{{{{$.inputs.parameters['{key}']}}}}": _text(one) for key, one in given["inputs"]["parameterValues"].items()
    }
    arguments = []
    for argument in [*container["command"], *container.get("args", [])]:
        argument = argument.replace("{{$}}", executor_input)
        for placeholder, value in values.items():
            argument = argument.replace(placeholder, value)
        if len(argument.encode()) >= LONGEST_ARGUMENT:
            raise Refused(f"{name}: an argument is too long for the system")
        arguments.append(argument)
    return arguments


def root_values(package: Package, given: Mapping[str, Any]) -> Json:
    """``validatePipelineJobInputs`` (apiserver/template/v2_template.go)."""
    if unknown := given.keys() - package.parameters.keys():
        raise Refused(f"unknown parameters: {', '.join(sorted(unknown))}")
    values = {}
    for name, described in package.parameters.items():
        if name not in given and "defaultValue" not in described:
            raise Refused(f"neither value nor default value provided for non-optional parameter {name!r}")
        values[name] = given.get(name, described.get("defaultValue"))
    return values


def in_order(package: Package) -> list[str]:
    """Sorts tasks after those that they depend on (v2/compiler/argocompiler/dag.go)."""
    waiting = {name: _producers(task) for name, task in package.tasks.items()}
    order: list[str] = []
    while waiting:
        ready = sorted(name for name, needs in waiting.items() if needs <= set(order))
        if not ready:
            raise Refused("the tasks wait for one another")
        order += ready
        waiting = {name: needs for name, needs in waiting.items() if name not in ready}
    return order


def _producers(task: Json) -> set[str]:
    """The tasks that a task depends on, with ``addImplicitDependencies`` (v2/compiler/argocompiler/dag.go)."""
    parameters = task.get("inputs", {}).get("parameters", {}).values()
    return {
        *task.get("dependentTasks", []),
        *(producer for _, producer, _ in _wired(task)),
        *(source["taskOutputParameter"]["producerTask"] for source in parameters if "taskOutputParameter" in source),
    }


def _wired(task: Json) -> list[tuple[str, str, str]]:
    """A task's input artifacts: their keys, the tasks that make them, and the output keys of those."""
    return [
        (key, source["taskOutputArtifact"]["producerTask"], source["taskOutputArtifact"]["outputArtifactKey"])
        for key, source in task.get("inputs", {}).get("artifacts", {}).items()
    ]


def resolved(name: str, task: Json, component: Json, values: Json, done: Mapping[str, Done]) -> Json:
    """``resolveInputs`` (v2/driver/resolve.go)."""
    definitions = component.get("inputDefinitions", {})
    parameters: Json = {}
    for key, source in task.get("inputs", {}).get("parameters", {}).items():
        if "componentInputParameter" in source:
            parameters[key] = values[source["componentInputParameter"]]
        elif "taskOutputParameter" in source:
            output = source["taskOutputParameter"]
            made = done[output["producerTask"]].parameters
            if output["outputParameterKey"] not in made:
                raise Refused(f"{name}: cannot find output parameter {output['outputParameterKey']!r}")
            parameters[key] = made[output["outputParameterKey"]]
        elif "constant" in source.get("runtimeValue", {}):
            parameters[key] = source["runtimeValue"]["constant"]
        else:
            raise Refused(f"{name}: parameter {key} is neither a constant nor the pipeline's")
    for key, described in definitions.get("parameters", {}).items():
        if key not in parameters:
            raise Refused(f"{name}: neither value nor default value provided for non-optional parameter {key!r}")
        is_text = isinstance(parameters[key], str)
        if described["parameterType"] == "STRING":
            parameters[key] = _text(parameters[key])
        elif is_text or parameters[key] is None:
            raise Refused(f"{name}: input parameter {key!r} type mismatch: expect {described['parameterType']}")
    artifacts = {}
    for key, producer, output in _wired(task):
        outputs = done[producer].outputs
        if output not in outputs:
            raise Refused(f"{name}: cannot find output artifact {output!r}")
        artifacts[key] = {"artifacts": [outputs[output]]}
    # ``CreateExecution`` (v2/metadata/client.go): one event for each input, and the store's Event table is unique.
    names = [given["artifacts"][0]["name"] for given in artifacts.values()]
    if twice := sorted(key for key, given in artifacts.items() if names.count(given["artifacts"][0]["name"]) > 1):
        raise Refused(f"{name}: AlreadyExists: one artifact comes in as {' and '.join(twice)}")
    if undeclared := artifacts.keys() - definitions.get("artifacts", {}).keys():
        raise Refused(f"{name}: its component has no inputs {', '.join(sorted(undeclared))}")
    return {"parameterValues": parameters, "artifacts": artifacts}


def _text(value: Any) -> str:
    """``PbValueToText`` (v2/metadata/converter.go)."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return protojson.number_text(value)
    return "" if value is None else json.dumps(value)


def _fingerprint(package: Package, component: Json, inputs: Json, outputs: Json, container: Json) -> str:
    """``GenerateCacheKey`` (v2/cacheutils/cache.go): no files, no environment, no URIs.

    Cached tasks are only looked up within the same pipeline (``GetExecutionCache``).
    """
    executor = package.kubernetes.get(component["executorLabel"], {})
    parameters = component.get("outputDefinitions", {}).get("parameters", {})
    key = {
        "pipeline": package.spec["pipelineInfo"]["name"],
        "inputs": {name: [one["name"] for one in given["artifacts"]] for name, given in inputs["artifacts"].items()},
        "parameters": inputs["parameterValues"],
        "outputs": {name: given["artifacts"][0]["type"] for name, given in outputs["artifacts"].items()},
        "output parameters": {name: given["parameterType"] for name, given in parameters.items()},
        "container": [container["image"], container["command"], container.get("args", [])],
        "claims": sorted({claim["constant"] for claim in executor.get("pvcMount", [])}),
    }
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def _each(artifacts: Json) -> list[Json]:
    return [one for given in artifacts.values() for one in given["artifacts"]]


def answer_in(file: Path) -> Json:
    """``getExecutorOutputFile``."""
    if not file.exists():
        return {}
    answer: Json = protojson.read(file.read_text(), pb.ExecutorOutput())
    return answer


def _collected(name: str, component: Json, outputs: Json, answer: Json) -> Json:
    """``collectOutputParameters`` (v2/component/launcher_v2.go)."""
    found = dict(answer.get("parameterValues", {}))
    for key, described in component.get("outputDefinitions", {}).get("parameters", {}).items():
        file = Path(outputs["parameters"][key]["outputFile"])
        if key not in found and file.exists():
            # ``TextToPbValue`` (v2/metadata/converter.go)
            text = file.read_text()
            found[key] = text if described["parameterType"] == "STRING" else json.loads(text)
        if key not in found:
            raise Refused(f"{name}: failed to read output parameter name={key!r}")
        if found[key] is None:
            raise Refused(f"{name}: output parameter {key!r} is null")
    return found


def _is_triggered(package: Package, name: str, values: Json, done: Mapping[str, Done]) -> bool:
    """``expr.Condition`` (v2/expression), in the one form that is used here."""
    task = package.tasks[name]
    condition = task.get("triggerPolicy", {}).get("condition")
    if condition is None:
        return True
    found = re.fullmatch(r"inputs\.parameter_values\['(\w+)'\] == '(\w*)'", condition)
    if found is None:
        raise Refused(f"{name}: condition {condition!r} has a form that this stand-in does not support")
    component, _ = package.components[package.hashes[name]]
    given = resolved(name, task, component, values, done)["parameterValues"]
    if found[1] not in given:
        raise Refused(f"{name}: evaluation error: no such key: {found[1]}")
    return bool(given[found[1]] == found[2])


def merge(said: Json, artifact: Json) -> None:
    """``mergeRuntimeArtifacts``."""
    artifact["uri"] = said.get("uri") or artifact["uri"]
    artifact["metadata"] = {**artifact.get("metadata", {}), **said.get("metadata", {})}


def _kept(name: str, value: Any) -> Any:
    """A property as the metadata store returns it: numbers and booleans as doubles, lists and structs wrapped."""
    if value is None:
        raise Refused(f"unable to produce MLMD artifact: unknown/unsupported value type NullValue of {name}")
    if isinstance(value, bool | int | float):
        return float(value)
    if isinstance(value, str):
        return value
    return {"list" if isinstance(value, list) else "struct": value}
