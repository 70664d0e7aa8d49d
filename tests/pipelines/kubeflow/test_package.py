from __future__ import annotations

import copy
import json
import os
import sys
from pathlib import Path

import pytest
import yaml
from kubeflow_backend import load

from compressor_lib.errors import CompressorError
from pipelines.config.beam import IN_ONE_PROCESS
from pipelines.config.config import load_config
from pipelines.kubeflow.package import TARGETS, check_compilable, check_inputs, compile_package
from pipelines.kubeflow.parameters import parameters_of
from pipelines.kubeflow.shown_parameters import with_values

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "golden"
IMAGE = "registry/auto-compressor@sha256:0123"
BEAM_NODES = ("ImageExampleGen", "StatisticsGen", "Transform", "TranslatorPretrainer", "Evaluator")
REMOTE = (
    "output=gs://bucket/root", "data.path=gs://bucket/images", "data.span_pattern=span-{SPAN}", "data.span_window=4",
    "resources={retrain: {cpu: 8, memory_gb: 32, accelerator: nvidia.com/gpu}}", "retries=2",
)  # fmt: skip


ENDPOINT = (
    "project: mine, region: europe-west1, endpoint: {display_name: cats, machine_type: n1-standard-2, image: serve}"
)


def config(*overrides: str):
    replaced = tuple(f"{override.partition('=')[0]}." for override in overrides)
    remote = [override for override in REMOTE if not f"{override.partition('=')[0]}.".startswith(replaced)]
    return load_config(ROOT / "examples" / "pictures.yaml", [*remote, *overrides])


def compiled(target: str, *overrides: str) -> str:
    return compile_package(config(*overrides), target, image=IMAGE, code_version="0")


@pytest.fixture(scope="module")
def packages() -> dict[str, str]:
    return {target: compiled(target) for target in TARGETS}


@pytest.fixture(scope="module")
def specs(packages) -> dict[str, dict]:
    return {
        "kubeflow": yaml.safe_load(packages["kubeflow"]),
        "vertex": json.loads(packages["vertex"])["pipelineSpec"],
    }


def container(spec: dict, node: str) -> dict:
    return spec["deploymentSpec"]["executors"][spec["components"][node]["executorLabel"]]["container"]


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the packages name the Python version, here 3.11")
@pytest.mark.parametrize(("target", "file"), [("kubeflow", "kubeflow.yaml"), ("vertex", "vertex.json")])
def test_packages_are_as_they_were(packages, target, file):
    """``make goldens`` writes them anew."""
    if os.environ.get("REFRESH_GOLDENS"):
        (GOLDEN / file).write_text(packages[target])
    assert packages[target] == (GOLDEN / file).read_text()


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_is_compiled_to_the_same_wherever_it_is(packages, target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert compiled(target) == packages[target]


def test_the_kubeflow_package_is_one_that_its_client_takes(packages, specs):
    from kfp import components

    assert components.load_component_from_text(packages["kubeflow"]).name == "pictures"
    assert specs["kubeflow"]["schemaVersion"] == "2.1.0"


def test_the_vertex_package_is_one_that_its_sdk_takes(packages, tmp_path):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    file = tmp_path / "package.json"
    file.write_text(packages["vertex"])
    job = aiplatform.PipelineJob(
        display_name="pictures", template_path=str(file), project="mine", location="europe-west1",
        credentials=AnonymousCredentials(), parameter_values={"tau": 0.5, "max_trials": 3, "data_path": "gs://other/images"},
    )  # fmt: skip
    assert job.runtime_config.gcs_output_directory == "gs://bucket/root/pipeline_root"


def test_no_two_kubeflow_containers_are_the_same(specs):
    containers = [
        json.dumps(container(specs["kubeflow"], node), sort_keys=True) for node in specs["kubeflow"]["components"]
    ]
    assert len(set(containers)) == len(containers) == 16
    for node in specs["kubeflow"]["components"]:
        command = container(specs["kubeflow"], node)["command"]
        assert command[:5] == ["python", "-m", "pipelines.kubeflow.entrypoint", "--tfx_node_id", node]


def test_a_node_of_its_own_looks_for_data_on_kubeflow_alone(specs):
    spec = specs["kubeflow"]
    tasks = spec["root"]["dag"]["tasks"]
    first = container(spec, "NewData")
    assert first["command"][-3:] == ["--tfx_node_id", "NewData", "--probe"]
    assert first["image"] == IMAGE
    looked_for = tasks["NewData"]["inputs"]["parameters"]
    assert looked_for["push_directory"] == {"componentInputParameter": "push_directory"}
    assert looked_for["only_new_data"] == {"componentInputParameter": "only_new_data"}
    assert "lifecycle" not in container(spec, "ImageExampleGen")
    assert not [node for node, task in tasks.items() if node != "NewData" and not task.get("dependentTasks")]
    assert "NewData" not in specs["vertex"]["components"]
    there = container(specs["vertex"], "ImageExampleGen")
    driver = there["lifecycle"]["preCacheCheck"]["command"]
    assert driver == ["python", "-m", "pipelines.kubeflow.example_gen_driver"]
    assert there["command"] == ["python", "-m", "pipelines.kubeflow.executor"]


@pytest.mark.parametrize(
    ("overrides", "node"),
    [((), "ImageExampleGen"), (("data={source: tfrecord, path: 'gs://bucket/records'}",), "ImportExampleGen")],
)
def test_what_it_finds_is_what_is_read(overrides, node):
    spec = yaml.safe_load(compiled("kubeflow", *overrides))
    given = spec["root"]["dag"]["tasks"][node]["inputs"]["parameters"]
    for name in ("new_data", "span", "version", "input_fingerprint", "input_config"):
        assert given[name] == {"taskOutputParameter": {"producerTask": "NewData", "outputParameterKey": name}}
        kind = spec["components"]["NewData"]["outputDefinitions"]["parameters"][name]
        assert spec["components"][node]["inputDefinitions"]["parameters"][name] == kind
    assert not {"range_config", "span_window", "push_directory", "only_new_data"} & given.keys()


def test_the_cluster_takes_nothing_from_its_cache_that_looks_at_the_world(specs):
    tasks = specs["kubeflow"]["root"]["dag"]["tasks"]
    uncached = {node for node, task in tasks.items() if "cachingOptions" not in task}
    assert uncached == {"NewData", "Pusher", "Handover"}
    # What looks at the push directory besides is known by what there is to be found.
    given = tasks["PreviousRun"]["inputs"]["parameters"]
    assert given["previous_run"]["taskOutputParameter"]["producerTask"] == "NewData"
    deployed = yaml.safe_load(compiled("kubeflow", "gate.baseline=deployed"))["root"]["dag"]["tasks"]["DeployedModel"]
    assert deployed["inputs"]["parameters"]["deployed_version"]["taskOutputParameter"]["producerTask"] == "NewData"


def test_without_new_data_nothing_but_the_first_node_runs(specs):
    tasks = specs["kubeflow"]["root"]["dag"]["tasks"]
    conditions = {node: task["triggerPolicy"]["condition"] for node, task in tasks.items() if "triggerPolicy" in task}
    assert conditions == {"ImageExampleGen": "inputs.parameter_values['new_data'] == 'yes'"}
    waiting = {"ImageExampleGen"}
    for _ in tasks:
        waiting |= {node for node, task in tasks.items() if waiting & set(task.get("dependentTasks", []))}
    assert waiting == tasks.keys() - {"NewData"}


def test_no_task_runs_tfxs_own_entrypoint_which_logs_credentials(specs):
    for spec in specs.values():
        assert "kubeflow_v2_run_executor" not in json.dumps(spec)


@pytest.mark.parametrize("target", TARGETS)
def test_nodes_get_their_resources_and_retries(specs, target):
    resources = container(specs[target], "retrain")["resources"]
    assert resources["cpuLimit"] == 8
    assert resources["memoryLimit"] == 32
    assert resources["accelerator"] == {"type": "nvidia.com/gpu", "count": "1"}
    assert "resources" not in container(specs[target], "reference")
    tasks = specs[target]["root"]["dag"]["tasks"]
    backoff = {"backoffDuration": "30s", "backoffFactor": 2, "backoffMaxDuration": "2592000s"}
    for task in tasks.values():
        assert task["retryPolicy"] == {"maxRetryCount": 2, **(backoff if target == "kubeflow" else {})}


@pytest.mark.parametrize("target", TARGETS)
class TestParameters:
    def test_each_has_the_configurations_value_for_default(self, specs, target):
        parameters = dict(specs[target]["root"]["inputDefinitions"]["parameters"])
        assert parameters.pop("only_new_data", {"defaultValue": 0})["defaultValue"] == 0  # Kubeflow's alone
        assert {name: given["defaultValue"] for name, given in parameters.items()} == {
            "data_path": "gs://bucket/images", "span_pattern": "span-{SPAN}", "span_window": 4, "tau": 0.9,
            "max_trials": 60, "min_accuracy": 0.5, "max_drop": 0.03, "push_directory": "gs://bucket/root/serving",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("node", "name", "parameter"),
        [
            ("ImageExampleGen", "input_base", "data_path"),
            ("PreviousRun", "push_directory", "push_directory"),
            ("Handover", "push_directory", "push_directory"),
        ],
    )
    def test_a_whole_one_takes_the_place_of_the_constant(self, specs, target, node, name, parameter):
        given = specs[target]["root"]["dag"]["tasks"][node]["inputs"]["parameters"]
        assert given[name] == {"componentInputParameter": parameter}
        assert name in specs[target]["components"][node]["inputDefinitions"]["parameters"]

    @pytest.mark.parametrize(
        ("node", "name", "values", "expected"),
        [
            ("reads", "input_config", {"span_pattern": "span-7"}, [("pattern", "span-7/*/*")]),
            ("reads", "range_config", {"span_window": "2"}, [("num_spans", 2)]),
            ("PruningSearch", "options", {"tau": "1", "max_trials": "3"}, [("tau", 1), ("max_trials", 3)]),
            (
                "Evaluator", "eval_config", {"min_accuracy": "0.7", "max_drop": "0.01"},
                [("lower_bound", 0.7), ("absolute", -0.01)],
            ),
        ],
    )  # fmt: skip
    def test_a_part_of_a_text_is_a_placeholder(self, specs, target, node, name, values, expected):
        if node == "reads":
            node = "NewData" if target == "kubeflow" else "ImageExampleGen"
        given = specs[target]["root"]["dag"]["tasks"][node]["inputs"]["parameters"]
        text = given[name]["runtimeValue"]["constant"]
        for parameter, value in values.items():
            assert given[parameter] == {"componentInputParameter": parameter}
            placeholder = f"{{{{$.inputs.parameters['{parameter}']}}}}"
            assert text.count(placeholder) == 1
            text = text.replace(placeholder, value)
        found = []
        json.loads(text, object_pairs_hook=lambda pairs: found.extend(pairs) or dict(pairs))
        assert set(expected) <= {(key, value) for key, value in found if isinstance(value, str | int | float)}

    def test_the_report_is_given_all_and_shows_each_where_the_configuration_has_it(self, specs, target):
        root = specs[target]["root"]
        given = root["dag"]["tasks"]["Report"]["inputs"]["parameters"]
        for name in root["inputDefinitions"]["parameters"]:
            assert given[name] == {"componentInputParameter": name}
            assert name in specs[target]["components"]["Report"]["inputDefinitions"]["parameters"]
        changed = {
            "data_path": 'gs://other/"images"', "span_pattern": "other-{SPAN}", "span_window": 2.0, "tau": 0.5,
            "max_trials": 3.0, "min_accuracy": 0.7, "max_drop": 0.01, "push_directory": "gs://other/models",
        } | ({"only_new_data": 1.0} if target == "kubeflow" else {})  # fmt: skip
        assert changed.keys() == root["inputDefinitions"]["parameters"].keys()
        text = with_values({**changed, "config": given["config"]["runtimeValue"]["constant"]})["config"]
        ran = config(
            'data.path=gs://other/"images"', "data.span_pattern=other-{SPAN}", "data.span_window=2", "search.tau=0.5",
            "search.max_trials=3", "gate.min_accuracy=0.7", "gate.max_drop=0.01", "push.directory=gs://other/models",
        )  # fmt: skip
        shown = json.loads(text)
        assert shown.pop("only_new_data", None) == (1 if target == "kubeflow" else None)
        assert shown == json.loads(ran.model_dump_json())
        assert list(shown) == list(json.loads(ran.model_dump_json()))


def test_the_first_node_on_kubeflow_gets_what_the_report_gets(specs):
    tasks = specs["kubeflow"]["root"]["dag"]["tasks"]
    first, report = (tasks[node]["inputs"]["parameters"] for node in ("NewData", "Report"))
    for name in ("config", *specs["kubeflow"]["root"]["inputDefinitions"]["parameters"]):
        assert first[name] == report[name]
        assert name in specs["kubeflow"]["components"]["NewData"]["inputDefinitions"]["parameters"]


def test_a_pattern_of_several_folders_is_replaced_as_a_whole():
    parameters = parameters_of(config("data.span_pattern=weeks/{SPAN:2}"))
    (put,) = (parameter.within for parameter in parameters if parameter.name == "span_pattern")
    value = {"splits": [{"pattern": "weeks/{SPAN:2}/*/*"}]}
    put(value, "placeholder")
    assert value == {"splits": [{"pattern": "placeholder/*/*"}]}


@pytest.mark.parametrize(
    ("target", "override", "message"),
    [
        ("kubeflow", "gate.baseline=blessed", "gate.baseline is blessed, which needs a resolver"),
        (
            "kubeflow",
            "push.directory=minio://bucket/models",
            "push.directory is 'minio://bucket/models', which needs credentials: set s3.secret",
        ),
        (
            "kubeflow",
            "data.path=gs://bucket/cost$$",
            "data.path contains \\$\\$ or .*, which Kubernetes changes on the way",
        ),
        (
            "kubeflow",
            "push.directory=gs://bucket/$(HOME)/models",
            "push.directory contains .*, which Kubernetes changes",
        ),
        (
            "kubeflow",
            "resources={retrain: {node_selector: {pool: a$$}}}",
            "resources.retrain.node_selector.pool contains",
        ),
        ("kubeflow", "data.path=minio://bucket/images", "data.path is 'minio://bucket/images', which needs cred"),
        (
            "kubeflow",
            "data.path=minio://bucket/images",
            "data.path is .*, and minio:// has no default host: set s3.en",
        ),
        (
            "kubeflow",
            "push.directory=minio://bucket/models",
            "push.directory is .*, and minio:// has no default host: ",
        ),
        (
            "kubeflow",
            "resources={retrain: {disk_gb: 50}}\nvolumes=[{claim: work, path: /tmp}]",
            "resources.retrain.disk_gb is for /tmp, where a volume is mounted",
        ),
        (
            "kubeflow",
            "output=/mnt/team/runs\nvolumes=[{claim: work, path: /mnt/team}]",
            "output is '/mnt/team/runs', on a volume, but the cluster keeps artifacts in an object store: give a",
        ),
        ("vertex", "output=/tmp/runs", "output is '/tmp/runs', which the nodes cannot reach: give"),
        ("vertex", "security_context={run_as_non_root: true}", "security_context is for clusters only"),
        ("vertex", "data.path=s3://bucket/images", "data.path is 's3://bucket/images', which the nodes cannot"),
        (
            "vertex",
            "s3.secret=mlpipeline-minio-artifact",
            "s3 is for clusters only, and Vertex AI cannot read such stores",
        ),
        ("kubeflow", "backbone.weights=s3://bucket/a.h5", "backbone.weights is 's3://bucket/a.h5', which the nodes"),
        ("vertex", "output=s3://bucket/root", "output is 's3://bucket/root', which the nodes cannot reach: give"),
        ("vertex", f"data.path={ROOT}", "data.path is '/.*', which the nodes cannot reach: put the data"),
        (
            "vertex",
            f"search.backbones=[{{name: MobileNet, weights: {ROOT}/setup.py}}]",
            "search.backbones.0..weights is '/.*setup.py', which the nodes",
        ),
        (
            "kubeflow",
            "search={latency_table: s3://bucket/phone.csv, budgets: {latency_ms: 8}}",
            "search.latency_table is 's3://bucket/phone.csv', which the nodes cannot reach: put it below gs://",
        ),
        ("vertex", f"backbone.weights={ROOT}/setup.py", "backbone.weights is '/.*setup.py', which the nodes"),
        ("vertex", "volumes=[{claim: work, path: /mnt}]", "volumes are for clusters only, and Vertex AI has none"),
        ("vertex", "resources={retrain: {node_selector: {a: b}}}", "resources.retrain.node_selector is for clusters"),
        ("vertex", "resources={retrain: {disk_gb: 50}}", "resources.retrain.disk_gb is for clusters"),
        ("kubeflow", "data={source: digits}", "data.source is digits, which only local runs can use"),
        (
            "kubeflow",
            f"vertex={{{ENDPOINT}}}",
            "section vertex is for Vertex AI only: remove it, or compile with --target vertex.",
        ),
    ],
)
def test_what_a_target_cannot_do_is_refused(target, override, message):
    with pytest.raises(CompressorError, match=f"cannot be compiled for {target}:\n(.|\n)*{message}"):
        check_compilable(config(*override.split("\n")), target)


@pytest.mark.parametrize("override", ["push.directory=gs://bucket/models", "gate.baseline=deployed"])
def test_nothing_is_pushed_to_a_directory_beside_an_endpoint(override):
    with pytest.raises(CompressorError, match=override.split("=")[0] + ".* vertex.endpoint"):
        check_compilable(config(f"vertex={{{ENDPOINT}}}", override), "vertex")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("node", "key", "again"),
    [("Evaluator", "baseline_model", "reference"), ("Pusher", "statistics", "more"), ("Report", "compressed", "other")],
)
def test_an_output_that_a_node_takes_twice_is_refused(specs, target, node, key, again):
    spec = copy.deepcopy(specs[target])
    check_inputs(spec)
    artifacts = spec["root"]["dag"]["tasks"][node]["inputs"]["artifacts"]
    artifacts[again] = artifacts[key]
    with pytest.raises(CompressorError, match=f"node {node} takes output .* twice, as {key} and as {again}"):
        check_inputs(spec)


def test_paths_on_a_volume_can_be_reached():
    volume = ["volumes=[{claim: work, path: /mnt/work}]", "push.directory=/mnt/work/models"]
    check_compilable(config(*volume, "data.path=/mnt/work/images"), "kubeflow")
    with pytest.raises(
        CompressorError, match=r"data.path is .*, which .* below gs:// or s3:// or minio:// or /mnt/work/"
    ):
        check_compilable(config(*volume, f"data.path={ROOT}"), "kubeflow")


def test_volumes_and_labels_are_in_a_document_of_their_own():
    package = compiled(
        "kubeflow", "volumes=[{claim: work, path: /mnt/work}]", "resources={retrain: {node_selector: {kind: gpu}}}"
    )
    _, platform = yaml.safe_load_all(package)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mount = {"pvcMount": [{"constant": "work", "mountPath": "/mnt/work"}]}
    assert executors.pop("retrain_executor") == {**mount, "nodeSelector": {"labels": {"kind": "gpu"}}}
    assert len(executors) == 15
    assert all(executor == mount for executor in executors.values())
    assert len(load(package).components) == 16


def test_nodes_that_use_an_object_store_by_themselves_are_told_the_way_to_it():
    package = compiled(
        "kubeflow", "s3={endpoint: 'http://minio.team:9000', secret: team-minio}", "gate.baseline=deployed",
        "data.path=minio://team/images", "push.directory=s3://team/serving",
    )  # fmt: skip
    spec, platform = yaml.safe_load_all(package)
    load(package)
    nodes = ["DeployedModel", "Handover", "ImageExampleGen", "NewData", "PreviousRun", "Pusher"]
    endpoint = [{"name": "COMPRESSOR_S3_ENDPOINT", "value": "http://minio.team:9000"}]
    assert [node for node in spec["root"]["dag"]["tasks"] if container(spec, node).get("env") == endpoint] == nodes
    secret = {
        "secretName": "team-minio",
        "keyToEnv": [
            {"secretKey": "accesskey", "envVar": "COMPRESSOR_S3_ACCESS_KEY"},
            {"secretKey": "secretkey", "envVar": "COMPRESSOR_S3_SECRET_KEY"},
        ],
    }
    assert platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"] == {
        f"{node}_executor": {"secretAsEnv": [secret]} for node in nodes
    }
    assert "AWS_" not in package  # which the launcher would take for its own


def test_a_bucket_of_amazons_takes_no_secret_where_a_role_may():
    spec, *platforms = yaml.safe_load_all(compiled("kubeflow", "data.path=s3://team/images"))
    assert not platforms
    assert "env" not in container(spec, "ImageExampleGen")


def test_the_blessed_baseline_is_no_matter_on_vertex():
    check_compilable(config("gate.baseline=blessed"), "vertex")


@pytest.mark.parametrize("target", TARGETS)
def test_the_deployed_baseline_is_read_at_each_run_from_where_it_pushes(target):
    package = compiled(target, "gate.baseline=deployed")
    spec = yaml.safe_load(package) if target == "kubeflow" else json.loads(package)["pipelineSpec"]
    tasks = spec["root"]["dag"]["tasks"]
    parameters = tasks["DeployedModel"]["inputs"]["parameters"]
    assert parameters["push_directory"] == {"componentInputParameter": "push_directory"}
    baseline = tasks["Evaluator"]["inputs"]["artifacts"]["baseline_model"]["taskOutputArtifact"]
    assert baseline == {"producerTask": "DeployedModel", "outputArtifactKey": "model"}


@pytest.mark.parametrize("target", TARGETS)
def test_each_model_of_a_family_has_its_own_tasks(target):
    package = compiled(
        target, "search.budgets.tiny.macs=5", "search.budgets.small-one.macs=6", "gate.baseline=deployed", "retries=2",
        "resources={retrain: {cpu: 4}, retrain-tiny: {cpu: 8}}", "disable_cache=[Converter]",
    )  # fmt: skip
    spec = yaml.safe_load(package) if target == "kubeflow" else json.loads(package)["pipelineSpec"]
    tasks = spec["root"]["dag"]["tasks"]
    for member in ("tiny", "small-one"):
        for node in ("Pusher", "DeployedModel"):
            parameters = tasks[f"{node}-{member}"]["inputs"]["parameters"]
            assert parameters["push_directory"] == {"componentInputParameter": "push_directory"}
            assert parameters["member"] == {"runtimeValue": {"constant": member}}
        evaluator = tasks[f"Evaluator-{member}"]
        assert evaluator["inputs"]["parameters"]["min_accuracy"] == {"componentInputParameter": "min_accuracy"}
        baseline = evaluator["inputs"]["artifacts"]["baseline_model"]["taskOutputArtifact"]
        assert baseline == {"producerTask": f"DeployedModel-{member}", "outputArtifactKey": "model"}
        assert evaluator["retryPolicy"]["maxRetryCount"] == 2
        assert "cachingOptions" not in tasks[f"Converter-{member}"]
        assert f"evaluation__{member.replace('-', '_')}" in tasks["Report"]["inputs"]["artifacts"]
    assert container(spec, "retrain-tiny")["resources"]["cpuLimit"] == 8
    assert container(spec, "retrain-small-one")["resources"]["cpuLimit"] == 4
    if target == "kubeflow":
        # The data is recorded as seen once, after the last of them.
        (last,) = (node for node, task in tasks.items() if "only_new_data" in task["inputs"].get("parameters", {})
                   and node.startswith("Pusher"))  # fmt: skip
        (other,) = {"Pusher-tiny", "Pusher-small-one"} - {last}
        assert other in tasks[last]["dependentTasks"]
        for node in ("Pusher-tiny", "Pusher-small-one", "Handover"):
            assert "cachingOptions" not in tasks[node]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "beam",
    [
        "{workers: 2}",
        "{runner: dataflow, project: mine, region: europe-west1, temp_location: 'gs://b/tmp', image: some/beam}",
        "{runner: flink, master: 'host:8081', workers: 3, environment: docker, environment_config: some/beam}",
        "{runner: spark, master: 'spark://host:7077', environment: external, environment_config: 'localhost:50000'}",
    ],
)
def test_beams_flags_reach_each_container(target, beam):
    overrides = (f"beam={beam}", "beam_pipeline_args=[--job_name=own]")
    flags = config(*overrides).beam_flags
    assert flags[-1] == "--job_name=own"
    package = compiled(target, *overrides)
    spec = yaml.safe_load(package) if target == "kubeflow" else json.loads(package)["pipelineSpec"]
    for node in BEAM_NODES:
        stays_alone = beam == "{workers: 2}" and node not in ("ImageExampleGen", "Transform")
        expected = [*flags, *IN_ONE_PROCESS] if stays_alone else flags
        assert container(spec, node)["args"][-len(expected) :] == expected
    if target == "vertex":
        assert container(spec, "ImageExampleGen")["lifecycle"]["preCacheCheck"]["args"][-len(flags) :] == flags


def test_a_node_gets_a_disk_to_work_on():
    volume = "volumes=[{claim: work, path: /mnt/work}]"
    package = compiled("kubeflow", "resources={ImageExampleGen: {disk_gb: 50}}", volume)
    load(package)
    _, platform = yaml.safe_load_all(package)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    disk = {"volumeName": "compressor-work", "mountPath": "/tmp", "sizeLimit": "50G"}
    claim = {"constant": "work", "mountPath": "/mnt/work"}
    assert executors["ImageExampleGen_executor"] == {"emptyDirMounts": [disk], "pvcMount": [claim]}


def test_nodes_run_as_whom_the_configuration_asks_for():
    package = compiled("kubeflow", "security_context={run_as_user: 1000, run_as_group: 0, run_as_non_root: true}")
    spec, platform = yaml.safe_load_all(package)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    asked = {"securityContext": {"runAsUser": 1000, "runAsGroup": 0, "runAsNonRoot": True}}
    assert executors == {f"{node}_executor": asked for node in spec["root"]["dag"]["tasks"]}


class TestPipelineRoot:
    def test_a_package_has_the_one_in_a_store(self, specs):
        assert specs["kubeflow"]["defaultPipelineRoot"] == "gs://bucket/root/pipeline_root"

    def test_a_folder_of_this_machine_is_none(self, tmp_path, monkeypatch):
        """So that the cluster's own counts, the only one that a profile's keys may write to."""
        given = ("output=runs/pictures", "push.directory=gs://bucket/serving")
        package = compiled("kubeflow", *given)
        assert "pipelineroot" not in package.lower()
        assert "runs/pictures" not in package
        shown = load(package).tasks["Report"]["inputs"]["parameters"]["config"]["runtimeValue"]["constant"]
        assert json.loads(shown)["output"] == "default of kfp-launcher"
        monkeypatch.chdir(tmp_path)
        assert compiled("kubeflow", *given) == package
        assert list(tmp_path.iterdir()) == []

    def test_then_the_push_directory_must_be_said(self):
        with pytest.raises(CompressorError, match="push.directory, by default in output, is .*: set push.directory to"):
            check_compilable(config("output=runs/pictures"), "kubeflow")


@pytest.mark.parametrize("target", ["kubeflow", "vertex"])
def test_nodes_may_be_left_out_of_the_cache(target):
    package = yaml.safe_load(compiled(target, "disable_cache=[PruningSearch, Evaluator]"))
    tasks = (package.get("pipelineSpec") or package)["root"]["dag"]["tasks"]
    never = {"NewData", "Pusher", "Handover"} if target == "kubeflow" else set()
    assert {node for node, task in tasks.items() if "cachingOptions" not in task} == {
        "PruningSearch", "Evaluator", *never,
    }  # fmt: skip


def test_an_unknown_node_in_disable_cache_is_told():
    with pytest.raises(CompressorError, match="unknown node in disable_cache 'retain'. Did you mean 'retrain'"):
        compiled("vertex", "disable_cache=[retain]")


def test_resources_of_an_unknown_node_are_told():
    with pytest.raises(CompressorError, match="unknown node in resources 'retain'. Did you mean 'retrain'"):
        compiled("vertex", "resources={retain: {cpu: 1}}")


def test_an_unknown_target_is_told():
    with pytest.raises(CompressorError, match="unknown target 'vertx'. Did you mean 'vertex'"):
        compiled("vertx")
