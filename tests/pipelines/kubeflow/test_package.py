from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import yaml
from kubeflow_backend import load

from compressor_lib.errors import CompressorError
from pipelines.beam import IN_ONE_PROCESS
from pipelines.config import load_config
from pipelines.kubeflow.package import TARGETS, check_compilable, compile_package
from pipelines.kubeflow.shown_parameters import with_values

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "golden"
IMAGE = "registry/auto-compressor@sha256:0123"
BEAM_NODES = ("ImageExampleGen", "StatisticsGen", "Transform", "TranslatorPretrainer", "Evaluator")
REMOTE = (
    "output=gs://bucket/root", "data.path=gs://bucket/pictures", "data.span=span-{SPAN}", "data.spans={window: 4}",
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
        credentials=AnonymousCredentials(), parameter_values={"tau": 0.5, "max_trials": 3, "data_path": "gs://other/pictures"},
    )  # fmt: skip
    assert job.runtime_config.gcs_output_directory == "gs://bucket/root/pipeline_root"


def test_no_two_kubeflow_containers_are_the_same(specs):
    containers = [
        json.dumps(container(specs["kubeflow"], node), sort_keys=True) for node in specs["kubeflow"]["components"]
    ]
    assert len(set(containers)) == len(containers) == 15
    for node in specs["kubeflow"]["components"]:
        command = container(specs["kubeflow"], node)["command"]
        assert command[:5] == ["python", "-m", "pipelines.kubeflow.entrypoint", "--tfx_node_id", node]


def test_the_driver_runs_inside_the_task_on_kubeflow_alone(specs):
    gen = container(specs["kubeflow"], "ImageExampleGen")
    assert gen["command"][-1] == "--run_driver"
    assert "lifecycle" not in gen
    tasks = specs["kubeflow"]["root"]["dag"]["tasks"]
    assert [node for node, task in tasks.items() if "cachingOptions" not in task] == ["ImageExampleGen"]
    conditions = {node: task["triggerPolicy"]["condition"] for node, task in tasks.items() if "triggerPolicy" in task}
    readers = ("StatisticsGen", "ExampleValidator", "Transform", "Report", "Handover")
    assert conditions == dict.fromkeys(readers, "inputs.parameter_values['new_data'] == 'yes'")
    there = container(specs["vertex"], "ImageExampleGen")
    driver = there["lifecycle"]["preCacheCheck"]["command"]
    assert driver == ["python", "-m", "pipelines.kubeflow.example_gen_driver"]
    assert there["command"] == ["python", "-m", "pipelines.kubeflow.executor"]


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
    assert {task["retryPolicy"]["maxRetryCount"] for task in tasks.values()} == {2}


@pytest.mark.parametrize("target", TARGETS)
class TestParameters:
    def test_each_has_the_configurations_value_for_default(self, specs, target):
        parameters = dict(specs[target]["root"]["inputDefinitions"]["parameters"])
        assert parameters.pop("only_new_data", {"defaultValue": 0})["defaultValue"] == 0  # Kubeflow's alone
        assert {name: given["defaultValue"] for name, given in parameters.items()} == {
            "data_path": "gs://bucket/pictures", "span": "span-{SPAN}", "window": 4, "tau": 0.9, "max_trials": 60,
            "min_accuracy": 0.5, "max_drop": 0.03, "push_directory": "gs://bucket/root/serving",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("node", "name", "parameter"),
        [
            ("ImageExampleGen", "input_base", "data_path"),
            ("PruningSearch", "tau", "tau"),
            ("PruningSearch", "max_trials", "max_trials"),
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
            ("ImageExampleGen", "input_config", {"span": "span-7"}, [("pattern", "span-7/*/*")]),
            ("ImageExampleGen", "range_config", {"window": "2"}, [("num_spans", 2)]),
            (
                "Evaluator", "eval_config", {"min_accuracy": "0.7", "max_drop": "0.01"},
                [("lower_bound", 0.7), ("absolute", -0.01)],
            ),
        ],
    )  # fmt: skip
    def test_a_part_of_a_text_is_a_placeholder(self, specs, target, node, name, values, expected):
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
            "data_path": 'gs://other/"pictures"', "span": "other-{SPAN}", "window": 2.0, "tau": 0.5, "max_trials": 3.0,
            "min_accuracy": 0.7, "max_drop": 0.01, "push_directory": "gs://other/models",
        } | ({"only_new_data": 1.0} if target == "kubeflow" else {})  # fmt: skip
        assert changed.keys() == root["inputDefinitions"]["parameters"].keys()
        text = with_values({**changed, "config": given["config"]["runtimeValue"]["constant"]})["config"]
        ran = config(
            'data.path=gs://other/"pictures"', "data.span=other-{SPAN}", "data.spans={window: 2}", "search.tau=0.5",
            "search.max_trials=3", "gate.min_accuracy=0.7", "gate.max_drop=0.01", "push.directory=gs://other/models",
        )  # fmt: skip
        shown = json.loads(text)
        assert shown.pop("only_new_data", None) == (1 if target == "kubeflow" else None)
        assert shown == json.loads(ran.model_dump_json())
        assert list(shown) == list(json.loads(ran.model_dump_json()))


@pytest.mark.parametrize(
    ("target", "override", "message"),
    [
        ("kubeflow", "gate.baseline=blessed", "gate.baseline is blessed, which takes a resolver"),
        (
            "kubeflow",
            "push.directory=minio://bucket/models",
            "push.directory is 'minio://bucket/models', which takes credentials: name the Secret",
        ),
        ("kubeflow", "data.path=gs://bucket/cost$$", "data.path has \\$\\$ or .*, which Kubernetes changes on the way"),
        ("kubeflow", "push.directory=gs://bucket/$(HOME)/models", "push.directory has .*, which Kubernetes changes"),
        ("kubeflow", "resources={retrain: {node_selector: {pool: a$$}}}", "resources.retrain.node_selector.pool has"),
        ("kubeflow", "data.path=minio://bucket/pictures", "data.path is 'minio://bucket/pictures', which takes cred"),
        ("vertex", "data.path=s3://bucket/pictures", "data.path is 's3://bucket/pictures', which the nodes cannot"),
        ("vertex", "s3.secret=mlpipeline-minio-artifact", "s3 is for clusters, and Vertex AI reads no such stores"),
        ("kubeflow", "backbone.weights=s3://bucket/a.h5", "backbone.weights is 's3://bucket/a.h5', which the nodes"),
        ("vertex", "output=s3://bucket/root", "output is 's3://bucket/root', which the nodes cannot reach: give"),
        ("vertex", f"data.path={ROOT}", "data.path is '/.*', which the nodes cannot reach: put the data"),
        ("vertex", f"backbone.weights={ROOT}/setup.py", "backbone.weights is '/.*setup.py', which the nodes"),
        ("vertex", "volumes=[{claim: work, path: /mnt}]", "volumes are the cluster's, and Vertex AI has none"),
        ("vertex", "resources={retrain: {node_selector: {a: b}}}", "resources.retrain.node_selector is for clusters"),
        ("vertex", "resources={retrain: {disk_gb: 50}}", "resources.retrain.disk_gb is for clusters"),
        ("kubeflow", "data={source: digits}", "data.source is digits, which are written on this machine"),
        (
            "kubeflow",
            f"vertex={{{ENDPOINT}}}",
            "vertex is for Vertex AI alone: take it out, or compile with --target vertex",
        ),
    ],
)
def test_what_a_target_cannot_do_is_refused(target, override, message):
    with pytest.raises(CompressorError, match=f"cannot be compiled for {target}:\n(.|\n)*{message}"):
        check_compilable(config(override), target)


@pytest.mark.parametrize("override", ["push.directory=gs://bucket/models", "gate.baseline=deployed"])
def test_nothing_is_pushed_to_a_directory_beside_an_endpoint(override):
    with pytest.raises(CompressorError, match=override.split("=")[0] + " is .*vertex.endpoint"):
        check_compilable(config(f"vertex={{{ENDPOINT}}}", override), "vertex")


def test_paths_on_a_volume_can_be_reached():
    volume = ["volumes=[{claim: work, path: /mnt/work}]", "push.directory=/mnt/work/models"]
    check_compilable(config(*volume, "data.path=/mnt/work/pictures"), "kubeflow")
    with pytest.raises(
        CompressorError, match=r"data.path is .*, which .* begins with gs:// or s3:// or minio:// or /mnt/work/"
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
    assert len(executors) == 14
    assert all(executor == mount for executor in executors.values())
    assert len(load(package).components) == 15


def test_nodes_that_use_an_object_store_by_themselves_are_told_the_way_to_it():
    package = compiled(
        "kubeflow", "s3={endpoint: 'http://minio.team:9000', secret: team-minio}", "gate.baseline=deployed",
        "data.path=minio://team/pictures", "push.directory=s3://team/serving",
    )  # fmt: skip
    spec, platform = yaml.safe_load_all(package)
    load(package)
    nodes = ["DeployedModel", "Handover", "ImageExampleGen", "PreviousRun", "Pusher"]
    endpoint = [{"name": "AWS_ENDPOINT_URL", "value": "http://minio.team:9000"}]
    assert [node for node in spec["root"]["dag"]["tasks"] if container(spec, node).get("env") == endpoint] == nodes
    secret = {
        "secretName": "team-minio",
        "keyToEnv": [
            {"secretKey": "accesskey", "envVar": "AWS_ACCESS_KEY_ID"},
            {"secretKey": "secretkey", "envVar": "AWS_SECRET_ACCESS_KEY"},
        ],
    }
    assert platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"] == {
        f"{node}_executor": {"secretAsEnv": [secret]} for node in nodes
    }


def test_a_bucket_of_amazons_takes_no_secret_where_a_role_may():
    spec, *platforms = yaml.safe_load_all(compiled("kubeflow", "data.path=s3://team/pictures"))
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
    package = compiled("kubeflow", "resources={ImageExampleGen: {disk_gb: 50}}")
    _, platform = yaml.safe_load_all(package)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    disk = {"volumeName": "work", "mountPath": "/tmp", "sizeLimit": "50G"}
    assert executors == {"ImageExampleGen_executor": {"emptyDirMounts": [disk]}}


@pytest.mark.parametrize("target", ["kubeflow", "vertex"])
def test_nodes_may_be_left_out_of_the_cache(target):
    package = yaml.safe_load(compiled(target, "uncached=[PruningSearch, Evaluator]"))
    tasks = (package.get("pipelineSpec") or package)["root"]["dag"]["tasks"]
    first = {"ImageExampleGen"} if target == "kubeflow" else set()
    assert {node for node, task in tasks.items() if "cachingOptions" not in task} == {
        "PruningSearch", "Evaluator", *first,
    }  # fmt: skip


def test_an_unknown_node_in_uncached_is_told():
    with pytest.raises(CompressorError, match="unknown node in uncached 'retain'. Did you mean 'retrain'"):
        compiled("vertex", "uncached=[retain]")


def test_resources_of_an_unknown_node_are_told():
    with pytest.raises(CompressorError, match="unknown node in resources 'retain'. Did you mean 'retrain'"):
        compiled("vertex", "resources={retain: {cpu: 1}}")


def test_an_unknown_target_is_told():
    with pytest.raises(CompressorError, match="unknown target 'vertx'. Did you mean 'vertex'"):
        compiled("vertx")
