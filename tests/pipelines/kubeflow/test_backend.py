"""The stand-in for Kubeflow's backend refuses what the backend refuses, and loses what that loses."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import ClassVar

import kubeflow_protojson as protojson
import pytest
import yaml
from kubeflow_backend import RELEASES, Backend, Package, load
from kubeflow_errors import Refused, TaskFailed

GOLDEN = Path(__file__).parent / "golden" / "kubeflow.yaml"
MODEL = {"artifactType": {"instanceSchema": "title: tfx.Model\ntype: object\n"}}

MAKE = """
import json, os, sys
from math import inf, nan
given = json.loads(sys.argv[1])
(model,) = given["outputs"]["artifacts"]["model"]["artifacts"]
path = os.environ["COMPRESSOR_MOUNTS_ROOT"] + "/" + model["uri"].replace("://", "/")
os.makedirs(path + "/empty")
open(path + "/weights", "w").write("weights")
answer = ANSWER
answer["artifacts"]["model"]["artifacts"][0].setdefault("uri", model["uri"])
json.dump(answer, open(given["outputs"]["outputFile"], "w"))
"""
TAKE = """
import json, os, sys
given = json.loads(sys.argv[1])
(model,) = given["inputs"]["artifacts"]["model"]["artifacts"]
path = os.environ["COMPRESSOR_MOUNTS_ROOT"] + "/" + model["uri"].replace("://", "/")
found = sorted(os.path.join(folder, name)[len(path) + 1:] for folder, _, names in os.walk(path) for name in names)
answer = {"artifacts": {"taken": {"artifacts": [{"metadata": {
    "found": found, "model": model, "logs": "executor-logs" in given["outputs"]["artifacts"],
    "others": os.listdir(os.environ["COMPRESSOR_MOUNTS_ROOT"]), "empty": os.listdir(),
    "homes": [os.getcwd(), os.environ["HOME"], os.environ["TMPDIR"]],
    "beside": sorted(os.listdir(os.path.dirname(path))),
    "log": [os.path.isfile(os.environ["COMPRESSOR_MOUNTS_ROOT"] + "/" + one["uri"].replace("://", "/"))
            for one in given["outputs"]["artifacts"].get("executor-logs", {}).get("artifacts", [])],
    "parameters": sys.argv[1],
}}]}}}
json.dump(answer, open(given["outputs"]["outputFile"], "w"))
"""


def answered(**artifact) -> dict:
    return {"artifacts": {"model": {"artifacts": [artifact]}}}


def package(answer: dict, *, take: str = TAKE) -> dict:
    """Two tasks, of which one makes a model and the other takes it."""

    def container(program: str) -> dict:
        return {"container": {"image": "image", "command": [sys.executable, "-c", program], "args": ["{{$}}"]}}

    return {
        "schemaVersion": "2.1.0",
        "pipelineInfo": {"name": "two"},
        "deploymentSpec": {
            "executors": {
                "make": container(MAKE.replace("ANSWER", repr(answer))),
                "take": container(take),
            }
        },
        "components": {
            "make": {"executorLabel": "make", "outputDefinitions": {"artifacts": {"model": MODEL}}},
            "take": {
                "executorLabel": "take",
                "inputDefinitions": {"artifacts": {"model": MODEL}},
                "outputDefinitions": {"artifacts": {"taken": MODEL}},
            },
        },
        "root": {
            "dag": {
                "tasks": {
                    "a-take": {
                        "componentRef": {"name": "take"},
                        "inputs": {
                            "artifacts": {
                                "model": {"taskOutputArtifact": {"producerTask": "make", "outputArtifactKey": "model"}}
                            }
                        },
                    },
                    "make": {"componentRef": {"name": "make"}, "cachingOptions": {"enableCache": True}},
                }
            }
        },
    }


def taken(folder: Path, answer: dict, **backend) -> dict:
    """What the second task found."""
    done = Backend(folder, **backend).run(load(yaml.safe_dump(package(answer))))
    found = done["a-take"].outputs["taken"]["metadata"]
    return {key: value[next(iter(value))] if isinstance(value, dict) else value for key, value in found.items()}


@pytest.mark.parametrize("layout", RELEASES)
def test_files_and_metadata_get_from_task_to_task(tmp_path, layout):
    found = taken(tmp_path, answered(metadata={"n": 3, "ok": True, "l": [1], "s": {"a": "b"}}), layout=layout)
    assert found["found"] == ["weights"]
    model = found["model"]
    assert model["type"] == {"instanceSchema": ""}
    given = {key: model["metadata"][key] for key in ("n", "ok", "l", "s", "display_name")}
    assert given == {"n": 3.0, "ok": 1.0, "l": {"list": [1]}, "s": {"struct": {"a": "b"}}, "display_name": "model"}


def test_each_task_starts_where_no_other_has_been(tmp_path):
    assert set(taken(tmp_path, answered())["others"]) == {"minio", "tmp"}


@pytest.mark.parametrize("logs", [True, False])
def test_logs_are_an_output_of_every_task(tmp_path, logs):
    assert taken(tmp_path, answered(), logs=logs)["logs"] == float(logs)


class TestPods:
    """The launcher has the environment of the container, and both have what a package gives them."""

    SHOW = "import os, sys; print({key: os.environ.get(key) for key in ('URL', 'KEY')}); " + TAKE

    def package(self, variable: str = "URL", **described) -> Package:
        spec = package(answered(), take=self.SHOW)
        spec["deploymentSpec"]["executors"]["take"]["container"]["env"] = [{"name": variable, "value": "http://here"}]
        platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"take": described}}}}}
        return load(yaml.safe_dump_all([spec, platform]))

    SECRET: ClassVar = [{"secretName": "team", "keyToEnv": [{"secretKey": "accesskey", "envVar": "KEY"}]}]

    def test_the_container_finds_variables_and_secrets(self, tmp_path):
        backend = Backend(tmp_path)
        backend.secrets["team"] = {"accesskey": "abc"}
        done = backend.run(self.package(secretAsEnv=self.SECRET))
        assert "{'URL': 'http://here', 'KEY': 'abc'}" in done["a-take"].log

    def test_a_secret_must_be_there(self, tmp_path):
        with pytest.raises(TaskFailed, match="secret 'team' not found"):
            Backend(tmp_path).run(self.package(secretAsEnv=self.SECRET))

    @pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"])
    def test_with_an_s3_root_the_launcher_takes_amazons_variables_for_its_own(self, tmp_path, variable):
        assert Backend(tmp_path / "minio").run(self.package(variable))["a-take"].outputs
        with pytest.raises(TaskFailed, match=f"artifact attempts failed with .*{variable}"):
            Backend(tmp_path / "s3", root="s3://bucket/root").run(self.package(variable))
        assert Backend(tmp_path / "s3", root="s3://bucket/root").run(self.package())["a-take"].outputs

    def test_releases_up_to_2_15_refuse_a_security_context(self, tmp_path):
        asked = self.package(securityContext={"runAsNonRoot": True})
        assert Backend(tmp_path / "new").run(asked)["a-take"].outputs
        with pytest.raises(Refused, match='unknown field "securityContext"'):
            Backend(tmp_path / "old", layout="2.14").run(asked)

    @pytest.mark.parametrize(
        ("mounts", "message"),
        [
            (["team.data"], "RFC 1123 label"),
            (["minio-scratch"], "'minio-scratch' is there already"),
            (["a", "a"], "'a' is there already"),
            (["work"], "'work' is there already"),
        ],
    )
    def test_volumes_have_names_of_their_own(self, mounts, message):
        claims = [{"constant": claim, "mountPath": f"/mnt/{place}"} for place, claim in enumerate(mounts)]
        disk = [{"volumeName": "work", "mountPath": "/tmp"}]
        with pytest.raises(Refused, match=message):
            self.package(pvcMount=claims, emptyDirMounts=disk)
        assert self.package(pvcMount=[{"constant": "team", "mountPath": "/mnt"}], emptyDirMounts=disk)


def test_a_path_of_this_machine_is_not_uploaded(tmp_path):
    done = Backend(tmp_path).run(load(yaml.safe_dump(package(answered(uri="/tmp/model"), take="pass"))))
    assert done["make"].outputs["model"]["uri"] == "/tmp/model"
    assert not list((tmp_path / "store").rglob("weights"))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (answered(metadata={"span": None}), "unsupported value type NullValue of span"),
        ({**answered(), "unknown": 1}, "invalid: .*unknown"),
        (answered(surprise=1), "invalid: .*surprise"),
        (answered(metadata={"loss": float("nan")}), "invalid: NaN is no JSON"),
        (answered(metadata={"loss": float("-inf")}), "invalid: -Infinity is no JSON"),
    ],
)
def test_answers_are_read_strictly(tmp_path, answer, message):
    with pytest.raises(Refused, match=message):
        taken(tmp_path, answer)


def test_an_artifact_under_two_keys_of_a_task_is_refused(tmp_path):
    given = package(answered())
    given["components"]["take"]["inputDefinitions"]["artifacts"]["again"] = MODEL
    artifacts = given["root"]["dag"]["tasks"]["a-take"]["inputs"]["artifacts"]
    artifacts["again"] = artifacts["model"]
    with pytest.raises(Refused, match="a-take: AlreadyExists: one artifact comes in as again and model"):
        Backend(tmp_path).run(load(yaml.safe_dump(given)))


def test_a_failing_task_ends_the_run_with_its_log(tmp_path):
    with pytest.raises(TaskFailed, match=r"a-take ended with 1(.|\n)*no such luck"):
        Backend(tmp_path).run(load(yaml.safe_dump(package(answered(), take="raise SystemExit('no such luck')"))))


def test_an_argument_has_its_longest(tmp_path):
    with pytest.raises(Refused, match="too long"):
        taken(tmp_path, answered(metadata={"text": "x" * 2**17}))


@pytest.mark.parametrize(("layout", "beside"), [("2.14", True), ("2.15", True), ("2.16", True), ("2.17", False)])
def test_older_backends_take_a_prefix_for_a_folder(tmp_path, layout, beside):
    """The other folder's files land beside the folder, where their own key says."""
    backend = Backend(tmp_path, layout=layout)
    loaded = load(yaml.safe_dump(package(answered())))
    made = backend.task(loaded, "make", {}, {})
    log = backend.files(made.outputs["model"])["weights"].parent.with_name("model_run") / "log"
    log.parent.mkdir()
    log.write_text("log")
    found = backend.task(loaded, "a-take", {}, {"make": made}).outputs["taken"]["metadata"]
    assert found["found"] == {"list": ["weights"]}
    assert found["beside"] == {"list": ["model", "model_run"] if beside else ["model"]}


@pytest.mark.parametrize(
    ("layout", "name"), [("2.14", "executor-logs"), ("2.15", "executor-logs"), ("2.16", "executor-logs-0")]
)
def test_the_log_is_there_before_the_process_starts(tmp_path, layout, name):
    backend = Backend(tmp_path, layout=layout)
    done = backend.run(load(yaml.safe_dump(package(answered(), take=f"print('said'){TAKE}"))))
    assert done["a-take"].outputs["taken"]["metadata"]["log"] == {"list": [True]}
    logs = done["a-take"].outputs["executor-logs"]
    assert logs["uri"].endswith(f"/{name}")
    assert backend.files(logs)[""].read_text() == done["a-take"].log == "said\n"


def test_a_task_starts_in_the_images_folder(tmp_path):
    found = taken(tmp_path, answered())
    (folder,) = set(found["homes"])
    assert folder.endswith("/tmp")
    assert found["empty"] == []


def linking(target: str) -> str:
    return MAKE.replace("answer = ANSWER", f"os.symlink({target}, path + '/link')\nanswer = ANSWER")


@pytest.mark.parametrize(
    ("target", "files"),
    [("path + '/weights'", ["link", "weights"]), ("'/nowhere'", [])],
    ids=["a file", "nothing"],
)
def test_links_are_followed_and_a_broken_one_ends_the_upload(tmp_path, target, files):
    spec = package(answered(), take="pass")
    spec["deploymentSpec"]["executors"]["make"]["container"]["command"][2] = linking(target).replace(
        "ANSWER", repr(answered())
    )
    backend = Backend(tmp_path)
    done = backend.run(load(yaml.safe_dump(spec)))
    assert list(backend.files(done["make"].outputs["model"])) == files


def test_a_link_to_a_folder_cannot_be_uploaded(tmp_path):
    spec = package(answered())
    spec["deploymentSpec"]["executors"]["make"]["container"]["command"][2] = linking("path + '/empty'").replace(
        "ANSWER", repr(answered())
    )
    with pytest.raises(Refused, match=r"unable to complete copying '.*/link': is a directory"):
        Backend(tmp_path).run(load(yaml.safe_dump(spec)))


def test_kubernetes_expands_variables_in_what_a_task_is_given(tmp_path):
    spec = package(answered())
    task, component = spec["root"]["dag"]["tasks"]["a-take"], spec["components"]["take"]
    constant = "a $$$$ b $(MINE) c $(OTHER) d $5"
    task["inputs"]["parameters"] = {"text": {"runtimeValue": {"constant": constant}}}
    component["inputDefinitions"]["parameters"] = {"text": {"parameterType": "STRING"}}
    spec["deploymentSpec"]["executors"]["take"]["container"]["env"] = [{"name": "MINE", "value": "mine"}]
    done = Backend(tmp_path).run(load(yaml.safe_dump(spec)))
    given = json.loads(done["a-take"].outputs["taken"]["metadata"]["parameters"])
    assert given["inputs"]["parameterValues"]["text"] == "a $ b mine c $(OTHER) d $5"


def test_numbers_are_as_gos_protojson_prints_them(tmp_path):
    found = taken(tmp_path, answered(metadata={"whole": 3.0, "half": 0.5, "many": [1.0, 2]}))
    assert '"whole": 3,' in found["parameters"]
    assert '"half": 0.5' in found["parameters"]
    assert '"list": [1, 2]' in found["parameters"]


@pytest.mark.parametrize(("value", "text"), [(1.0, "1"), (30, "30"), (1e-7, "0.0000001"), (0.03, "0.03")])
def test_numbers_in_texts_have_no_exponent(value, text):
    assert protojson.number_text(value) == text


def test_the_store_is_noted_with_every_artifact(tmp_path):
    session = json.loads(taken(tmp_path, answered())["model"]["metadata"]["store_session_info"])
    assert session["Provider"] == "minio"
    assert session["Params"].keys() >= {"endpoint", "region", "secretName", "accessKeyKey", "maxRetries"}


def test_the_cache_goes_by_what_a_task_is_given(tmp_path):
    backend = Backend(tmp_path)
    first = backend.run(load(yaml.safe_dump(package(answered()))))
    again = backend.run(load(yaml.safe_dump(package(answered()))))
    assert [task.cached for task in again.values()] == [True, False]  # the second task does not ask for it
    assert again["make"].outputs == first["make"].outputs
    other = backend.run(load(yaml.safe_dump(package(answered(metadata={"a": 1})))))
    assert not other["make"].cached


def two(folder: Path, text: str = "", *, kind: str = "STRING", condition: str | None = None) -> dict:
    """Two tasks, of which one gives the other a parameter; the tasks that were run, with the log of each."""
    value = {"taskOutputParameter": {"producerTask": "make", "outputParameterKey": "value"}}
    program = f"""
import json, sys
given = json.loads(sys.argv[1])
if {text!r}: open(given["outputs"]["parameters"]["value"]["outputFile"], "w").write({text!r})
"""
    spec = package(answered(), take="import sys; print(sys.argv[1])")
    del spec["components"]["make"]["outputDefinitions"]["artifacts"]
    spec["components"]["make"]["outputDefinitions"]["parameters"] = {"value": {"parameterType": kind}}
    spec["components"]["take"]["inputDefinitions"] = {"parameters": {"value": {"parameterType": kind}}}
    spec["deploymentSpec"]["executors"]["make"]["container"]["command"][-1] = program
    task = spec["root"]["dag"]["tasks"]["a-take"]
    task["inputs"] = {"parameters": {"value": value}}
    if condition:
        task["triggerPolicy"] = {"condition": condition}
    return Backend(folder).run(load(yaml.safe_dump(spec)))


def test_a_tasks_parameter_gets_to_the_one_that_waits_for_it(tmp_path):
    done = two(tmp_path, "yes")
    assert list(done) == ["make", "a-take"]
    assert json.loads(done["a-take"].log)["inputs"]["parameterValues"] == {"value": "yes"}
    assert json.loads(two(tmp_path, "3", kind="NUMBER_INTEGER")["a-take"].log)["inputs"]["parameterValues"] == {
        "value": 3
    }


def test_a_parameter_that_a_task_declares_and_does_not_give_is_refused(tmp_path):
    with pytest.raises(Refused, match="make: failed to read output parameter name='value'"):
        two(tmp_path)


@pytest.mark.parametrize(("wanted", "run"), [("yes", ["make", "a-take"]), ("no", ["make"])])
def test_a_task_runs_on_its_condition(tmp_path, wanted, run):
    assert list(two(tmp_path, "yes", condition=f"inputs.parameter_values['value'] == '{wanted}'")) == run


def test_a_condition_is_on_what_the_task_is_given(tmp_path):
    with pytest.raises(Refused, match="no such key: other"):
        two(tmp_path, "yes", condition="inputs.parameter_values['other'] == 'yes'")


def claiming(name: str) -> list[dict]:
    executors = {"make": {"pvcMount": [{"constant": name, "mountPath": "/data"}]}}
    return [package(answered()), {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}]


def test_the_cache_is_of_one_pipeline_namespace_and_set_of_claims(tmp_path):
    backend = Backend(tmp_path)
    first = load(yaml.safe_dump_all(claiming("one")))
    others = [load(yaml.safe_dump_all(claiming("two"))), load(yaml.safe_dump_all(claiming("one")))]
    others[1].spec["pipelineInfo"]["name"] = "another"
    assert not backend.task(first, "make", {}, {}).cached
    assert [backend.task(other, "make", {}, {}).cached for other in others] == [False, False]
    assert backend.task(first, "make", {}, {}).cached
    backend.namespace = "team"
    assert not backend.task(first, "make", {}, {}).cached


def test_a_task_that_asks_for_no_cache_fills_none(tmp_path):
    backend = Backend(tmp_path)
    spec = package(answered())
    options = spec["root"]["dag"]["tasks"]["make"].pop("cachingOptions")
    backend.task(load(yaml.safe_dump(spec)), "make", {}, {})
    spec["root"]["dag"]["tasks"]["make"]["cachingOptions"] = options
    assert not backend.task(load(yaml.safe_dump(spec)), "make", {}, {}).cached


def edited(**fields) -> dict:
    return {**yaml.safe_load(GOLDEN.read_text()), **fields}


def test_the_golden_package_is_taken():
    assert len(load(GOLDEN.read_text()).components) == 16


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (edited(schemaVersion="2.0.0"), "only supports schema version 2.1.0"),
        (edited(runtimeConfig={}), "invalid: .*runtimeConfig"),
        (edited(pipelineInfo={"name": "_"}), "name should consist of"),
    ],
)
def test_packages_are_read_strictly(spec, message):
    with pytest.raises(Refused, match=message):
        load(yaml.safe_dump(spec))


@pytest.mark.slow
def test_what_the_compiler_of_the_backend_does_not_know_is_refused():
    spec = edited()
    label = spec["components"]["reference"]["executorLabel"]
    container = spec["deploymentSpec"]["executors"][label]["container"]

    def refused(message: str) -> None:
        with pytest.raises(Refused, match=message):
            load(yaml.safe_dump(spec))

    spec["deploymentSpec"]["executors"][label] = {"resolver": {}}
    refused("reference: non-container and non-importer executor not implemented")
    spec["deploymentSpec"]["executors"][label] = {"container": {**container, "command": []}}
    refused("reference: a container needs a command")
    spec["deploymentSpec"]["executors"][label] = {"container": container}
    output = spec["components"]["reference"]["outputDefinitions"]["artifacts"]["model"]
    output["artifactType"] = {"instanceSchema": "type: object\n"}
    refused("model: instance schema without a title")
    output["artifactType"] = {"schemaUri": "model.yaml"}
    refused("model: SchemaUri is unsupported")


def test_of_the_same_containers_one_component_is_kept():
    spec = edited()
    executors = spec["deploymentSpec"]["executors"]
    executors["retrain_executor"] = copy.deepcopy(executors["reference_executor"])
    package = load(yaml.safe_dump(spec))
    (kept, _) = package.components[package.hashes["retrain"]]
    assert kept["executorLabel"] == "reference_executor"


def test_parameters_need_a_value(tmp_path):
    spec = edited()
    backend = Backend(tmp_path)
    with pytest.raises(Refused, match="unknown parameters: taus"):
        backend.run(load(yaml.safe_dump(spec)), {"taus": 1})
    del spec["root"]["inputDefinitions"]["parameters"]["tau"]["defaultValue"]
    with pytest.raises(Refused, match="non-optional parameter 'tau'"):
        backend.run(load(yaml.safe_dump(spec)))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"runtimeValue": {"runtimeParameter": "tau"}}, "tau is neither a constant nor the pipeline"),
        ({"runtimeValue": {"constant": "high"}}, "'tau' type mismatch: expect NUMBER_DOUBLE"),
    ],
)
def test_values_have_their_types(tmp_path, source, message):
    spec = edited()
    spec["root"]["dag"]["tasks"]["PruningSearch"]["inputs"]["parameters"]["tau"] = source
    package = load(yaml.safe_dump(spec))
    values = {name: given["defaultValue"] for name, given in package.parameters.items()}
    with pytest.raises(Refused, match=message):
        Backend(tmp_path).task(package, "PruningSearch", values, {})
