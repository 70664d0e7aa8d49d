"""``compressor doctor`` and ``submit`` on Kubeflow's own API server, with one user and with many."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from kubeflow_rig.access import NAMESPACE, USER
from kubeflow_runs import submitted

from compressor_lib.errors import CompressorError
from pipelines.platforms import kfp_hooks
from pipelines.platforms.base import GoneError
from pipelines.platforms.kubeflow import Kubeflow

pytestmark = pytest.mark.kubeflow

FEW = pytest.mark.parametrize("server", ["one-user"], indirect=True)
MANY = pytest.mark.parametrize("server", ["many-users"], indirect=True)
RUNS, PIPELINES = "/apis/v2beta1/runs", "/apis/v2beta1/pipelines"
ADMINISTRATOR = "admin@example.org"
SMALL = """
pipelineInfo: {name: small}
schemaVersion: 2.1.0
sdkVersion: kfp-2.13.0
components: {comp-a: {executorLabel: exec-a}}
deploymentSpec: {executors: {exec-a: {container: {image: a, command: [a]}}}}
root: {dag: {tasks: {a: {componentRef: {name: comp-a}, taskInfo: {name: a}}}}}
"""


@pytest.fixture
def kubeflow(server, stored) -> Kubeflow:
    return Kubeflow(server.url, namespace=server.namespace)


@pytest.fixture
def ask(server):
    """Asks the API, as the user: ``ask("GET", path)``."""
    return lambda method, path, body=None: server.ask(method, path, body, user=USER)


@pytest.fixture
def run_of(compressor, ask):
    """Submits a package; the run, as the API tells of it."""

    def run_of(package: Path, *arguments: str) -> dict:
        result = compressor("submit", package, "--any-version", *arguments)
        assert (result.exit_code, result.stderr) == (0, "")
        return ask("GET", f"{RUNS}/{result.stdout.split()[1]}")

    return run_of


def uploaded_as(run: dict) -> tuple[str, str]:
    reference = run["pipeline_version_reference"]
    return reference["pipeline_id"], reference["pipeline_version_id"]


class TestDoctor:
    def test_the_api_answers(self, compressor, package):
        result = compressor("doctor", package, "--any-version")
        assert f"ok       package: pipeline {package.stem}, compiled for kubeflow\n" in result.stdout
        assert "ok       API: kubeflow responds and accepts your credentials\n" in result.stdout

    @MANY
    def test_a_namespace_of_somebody_else_is_told(self, compressor, package):
        result = compressor("doctor", package, "--any-version", "--namespace", "theirs")
        assert result.exit_code == 2
        assert "MISSING  API: http" in result.stdout
        assert "refuses: you lack permission in namespace 'theirs'" in result.stdout
        assert f"It says: User '{USER}' is not authorized" in result.stdout
        assert "{" not in result.stdout


class TestSubmit:
    def test_a_run_is_started_of_the_uploaded_package(self, server, run_of, package):
        run = run_of(package, "--param", "tau=0.5", "--param", "max_trials=3")
        assert run["display_name"] == package.stem
        assert run["runtime_config"]["parameters"] == {"tau": 0.5, "max_trials": 3}
        assert run["runtime_config"]["pipeline_root"] == "minio://mlpipeline/root/pipeline_root"
        assert server.workflows[run["run_id"]]["metadata"]["namespace"] == (server.namespace or "kubeflow")

    def test_the_page_of_a_run_is_not_the_api_s_but_the_ui_s(self, server, compressor, package, monkeypatch):
        with pytest.raises(OSError, match="404"):
            server.ask("GET", "/")
        monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", "https://ui.example.org")
        assert "watch https://ui.example.org/#/runs/details/" in compressor("submit", package, "--any-version").stdout

    def test_a_package_is_uploaded_once(self, run_of, package):
        assert uploaded_as(run_of(package)) == uploaded_as(run_of(package))

    def test_a_changed_one_is_a_version(self, run_of, package):
        text = package.read_text()
        pipeline, version = uploaded_as(run_of(package))
        package.write_text(text + "\n")
        changed = uploaded_as(run_of(package))
        assert changed[0] == pipeline
        assert changed[1] != version
        package.write_text(text)
        assert uploaded_as(run_of(package)) == (pipeline, version)

    @FEW
    def test_it_is_found_among_many_versions(self, kubeflow, run_of, package, tmp_path):
        """The API gives a page of a hundred at most to who asks for no more."""
        pipeline, version = uploaded_as(run_of(package))
        (small := tmp_path / "small.yaml").write_text(SMALL)
        for number in range(101):
            kubeflow._client.api.upload_pipeline_version(str(small), f"{number}", pipeline_id=pipeline)
        assert uploaded_as(run_of(package)) == (pipeline, version)

    def test_it_is_found_when_it_is_shown_by_another_name(self, server, ask, run_of, package):
        body = {"name": package.stem, "display_name": "Cats and dogs", "namespace": server.namespace}
        made = ask("POST", PIPELINES, body)
        assert made["display_name"] == "Cats and dogs"
        pipeline, _ = first = uploaded_as(run_of(package))
        assert pipeline == made["pipeline_id"]
        assert uploaded_as(run_of(package)) == first

    def test_another_that_is_shown_by_its_name_is_not_taken(self, server, ask, run_of, package):
        other = {"name": f"of-{package.stem}", "display_name": package.stem, "namespace": server.namespace}
        pipeline = ask("POST", PIPELINES, other)["pipeline_id"]
        first = uploaded_as(run_of(package))
        assert first[0] != pipeline
        assert uploaded_as(run_of(package)) == first

    def test_a_run_without_a_root_leaves_it_to_the_cluster(self, run_of, package):
        spec = yaml.safe_load(package.read_text())
        del spec["defaultPipelineRoot"]
        package.write_text(yaml.safe_dump(spec))
        assert not run_of(package).get("runtime_config", {}).get("pipeline_root")
        root = "minio://mlpipeline/private/team"
        assert run_of(package, "--pipeline-root", root)["runtime_config"]["pipeline_root"] == root

    def test_a_run_may_use_no_cache(self, run_of, package):
        tasks = run_of(package, "--no-cache")["pipeline_spec"]["root"]["dag"]["tasks"]
        assert not any(task.get("cachingOptions", {}).get("enableCache") for task in tasks.values())

    def test_all_runs_of_a_pipeline_are_in_one_experiment(self, run_of, package):
        assert run_of(package)["experiment_id"] == run_of(package)["experiment_id"]


class TestMessages:
    """They are one line, without codes, JSON and stack traces."""

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"taus": 1}, r"parameter\(s\) provided are not required by pipeline: taus"),
            ({"tau": "high"}, "input parameter tau requires type double"),
            ({"max_trials": True}, "input parameter max_trials requires type double or integer"),
            ({"push_directory": 1}, "input parameter push_directory requires type string"),
        ],
    )
    def test_wrong_parameters_are_told(self, kubeflow, package, parameters, message):
        with pytest.raises(CompressorError, match=rf"responds with 400 to package \S*: {message}[^{{\n]*$"):
            submitted(kubeflow, package, parameters=parameters)

    def test_a_package_that_is_none_is_told(self, kubeflow, package):
        """Releases up to 2.14 call it an error of their own."""
        package.write_text(package.read_text().replace("schemaVersion: 2.1.0", "schemaVersion: 2.0.0"))
        with pytest.raises(
            CompressorError, match=r"responds with [45]00 to package [^{\n]*schema version 2.1.0[^{\n]*$"
        ):
            submitted(kubeflow, package)

    def test_an_unknown_run_is_told(self, kubeflow):
        with pytest.raises(GoneError, match="does not know run 00000000-0000-0000-0000-000000000000: check --host"):
            kubeflow.progress("00000000-0000-0000-0000-000000000000")

    def test_a_server_that_hangs_is_told(self, server, kubeflow, package, monkeypatch):
        with monkeypatch.context() as hasty, server.stopped():
            hasty.setattr(kfp_hooks, "PATIENCE", 0.5)
            with pytest.raises(CompressorError, match="cannot be reached: check --host and the network"):
                submitted(kubeflow, package)
        submitted(kubeflow, package)


@MANY
class TestManyUsers:
    def test_everything_is_in_the_namespace(self, ask, run_of, package):
        run = run_of(package)
        pipeline = ask("GET", f"{PIPELINES}/{uploaded_as(run)[0]}")
        experiment = ask("GET", f"/apis/v2beta1/experiments/{run['experiment_id']}")
        assert [pipeline["namespace"], experiment["namespace"]] == [NAMESPACE, NAMESPACE]

    def test_a_shared_pipeline_of_that_name_stays_as_it_is(self, server, run_of, package):
        server.services.kubernetes.access.namespaces[ADMINISTRATOR] = "kubeflow"
        shared = server.ask("POST", PIPELINES, {"display_name": package.stem}, user=ADMINISTRATOR)["pipeline_id"]
        assert uploaded_as(run_of(package))[0] != shared
        versions = server.ask("GET", f"{PIPELINES}/{shared}/versions", user=USER)
        assert not versions.get("pipeline_versions")

    def test_a_namespace_must_be_named(self, ask, compressor, package, monkeypatch):
        monkeypatch.delenv("KFP_NAMESPACE")
        result = compressor("submit", package, "--any-version")
        assert result.exit_code == 2
        assert "is a multi-user cluster: give your namespace with --namespace" in result.stderr
        shared = ask("GET", PIPELINES).get("pipelines", ())
        assert package.stem not in [one["display_name"] for one in shared]

    def test_or_be_stored_by_the_client(self, stored, run_of, package, monkeypatch):
        monkeypatch.delenv("KFP_NAMESPACE")
        stored.write_text(json.dumps({**json.loads(stored.read_text()), "namespace": NAMESPACE}))
        run_of(package)

    def test_a_namespace_of_somebody_else_is_refused(self, compressor, package):
        result = compressor("submit", package, "--any-version", "--namespace", "theirs")
        assert result.exit_code == 2
        assert "refuses: you lack permission in namespace 'theirs'" in result.stderr

    def test_a_caller_without_a_name_is_refused(self, stored, compressor, package):
        stored.unlink()
        result = compressor("submit", package, "--any-version")
        assert result.exit_code == 2
        assert "requires a valid token: renew the token in $KFP_TOKEN" in result.stderr

    @pytest.mark.parametrize("variable", ["KFP_TOKEN", "KF_PIPELINES_SA_TOKEN_PATH"])
    def test_a_token_of_kubernetes_is_taken(self, server, stored, run_of, package, tmp_path, monkeypatch, variable):
        stored.unlink()
        server.services.kubernetes.access.tokens["token-of-ann"] = USER
        (file := tmp_path / "token").write_text("token-of-ann")
        monkeypatch.setenv(variable, "token-of-ann" if variable == "KFP_TOKEN" else str(file))
        run_of(package)
