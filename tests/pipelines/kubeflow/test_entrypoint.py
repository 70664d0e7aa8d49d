from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.execution.signals import interrupts
from pipelines.kubeflow import entrypoint
from pipelines.kubeflow.entrypoint import finished, for_clients, prepared
from pipelines.kubeflow.locations import Locations

MODEL = {"instanceSchema": "title: tfx.Model\ntype: object\n"}
INPUTS_SPEC = {"artifacts": {"model": {"artifactType": MODEL}}, "parameters": {"tau": {"parameterType": "STRING"}}}
ROOT = "minio://mlpipeline/v2/artifacts/run"


def task(tmp_path, **metadata) -> dict:
    """An ExecutorInput as the backend's launcher writes it, its outputs' form that of before 2.15."""
    return {
        "inputs": {
            "parameterValues": {"tau": "0.8"},
            "artifacts": {
                "model": {
                    "artifacts": [
                        {
                            "name": "7",
                            "type": {"instanceSchema": ""},
                            "uri": f"{ROOT}/reference/1/model",
                            "metadata": {"display_name": "model", "store_session_info": "{}", **metadata},
                        }
                    ]
                }
            },
        },
        "outputs": {
            "artifacts": {
                "blessing": {
                    "artifacts": [
                        {"type": {"instanceSchema": "title: tfx.ModelBlessing\n"}, "uri": f"{ROOT}/e/blessing"}
                    ]
                },
                "executor-logs": {
                    "artifacts": [{"type": {"schemaTitle": "system.Artifact"}, "uri": f"{ROOT}/e/executor-logs"}]
                },
            },
            "outputFile": str(tmp_path / "task" / "output_metadata.json"),
        },
    }


@pytest.fixture
def locations(tmp_path) -> Locations:
    return Locations(str(tmp_path))


def test_inputs_get_their_types_and_their_files(tmp_path, locations):
    given = prepared(task(tmp_path, split_names='["a"]', gone=None), INPUTS_SPEC, locations)
    assert given["inputs"]["parameterValues"] == {"tau": "0.8"}
    assert given["inputs"]["artifacts"]["model"]["artifacts"] == [
        {
            "name": "7",
            "type": MODEL,
            "uri": f"{tmp_path}/minio/mlpipeline/v2/artifacts/run/reference/1/model",
            "metadata": {"split_names": '["a"]'},
        }
    ]


def test_a_page_is_a_folder_to_tfx(tmp_path, locations):
    given = task(tmp_path)
    page = {"type": {"schemaTitle": "system.HTML", "schemaVersion": "0.0.1"}, "uri": f"{ROOT}/r/report"}
    given["outputs"]["artifacts"] = {"report": {"artifacts": [page]}}
    (report,) = prepared(given, INPUTS_SPEC, locations)["outputs"]["artifacts"]["report"]["artifacts"]
    module, _, name = report["type"]["schemaTitle"].rpartition(".")
    assert report["type"]["schemaTitle"] == getattr(importlib.import_module(module), name).TYPE_NAME


def test_the_type_that_is_declared_goes_before_a_more_general_one(tmp_path, locations):
    given = task(tmp_path)
    given["inputs"]["artifacts"]["model"]["artifacts"][0]["type"] = {"schemaTitle": "system.Artifact"}
    (found,) = prepared(given, INPUTS_SPEC, locations)["inputs"]["artifacts"]["model"]["artifacts"]
    assert found["type"] == MODEL


def test_outputs_are_those_of_the_task_with_names(tmp_path, locations):
    outputs = prepared(task(tmp_path), INPUTS_SPEC, locations)["outputs"]["artifacts"]
    assert list(outputs) == ["blessing"]
    (blessing,) = outputs["blessing"]["artifacts"]
    assert blessing["name"] == "blessing"
    assert blessing["uri"] == f"{tmp_path}/minio/mlpipeline/v2/artifacts/run/e/blessing"
    later = task(tmp_path)
    later["outputs"]["artifacts"]["blessing"]["artifacts"][0]["name"] = "given"
    (blessing,) = prepared(later, INPUTS_SPEC, locations)["outputs"]["artifacts"]["blessing"]["artifacts"]
    assert blessing["name"] == "given"


def test_runtime_parameters_are_put_into_the_texts_that_hold_them(tmp_path, locations):
    given = task(tmp_path)
    given["inputs"]["parameterValues"] = {
        "max_drop": 0.03, "span": 'span-"7"', "tau": 0.5,
        "config": """{"drop": -{{$.inputs.parameters['max_drop']}}, "pattern": "{{$.inputs.parameters['span']}}/*"}""",
    }  # fmt: skip
    found = prepared(given, INPUTS_SPEC, locations)["inputs"]["parameterValues"]
    assert json.loads(found.pop("config")) == {"drop": -0.03, "pattern": 'span-"7"/*'}
    assert found == {"max_drop": 0.03, "span": 'span-"7"', "tau": 0.5}


def test_the_reports_configuration_has_the_values_of_the_run(tmp_path, locations):
    given = task(tmp_path)
    marked = {"search": {"tau": {"runtime_parameter": "tau"}, "seed": 1}, "only_new_data": {"runtime_parameter": "new"}}
    given["inputs"]["parameterValues"] = {"tau": 0.5, "new": 1.0, "config": json.dumps(marked)}
    found = prepared(given, INPUTS_SPEC, locations)["inputs"]["parameterValues"]["config"]
    assert json.loads(found) == {"search": {"tau": 0.5, "seed": 1}, "only_new_data": 1}
    assert "1.0" not in found


@pytest.mark.parametrize("config", ["{}", '{"search": {"tau": 0.9}}', "not JSON", 1.0])
def test_a_configuration_without_marks_is_left_as_it_is(tmp_path, locations, config):
    given = task(tmp_path)
    given["inputs"]["parameterValues"] = {"config": config}
    assert prepared(given, INPUTS_SPEC, locations)["inputs"]["parameterValues"] == {"config": config}


@pytest.mark.parametrize("value", [{"list": [1.0, 2.0]}, {"struct": {"a": 1.0}}, {"list": []}])
def test_what_the_store_wrapped_is_taken_out(tmp_path, locations, value):
    given = prepared(task(tmp_path, value=value), INPUTS_SPEC, locations)
    (inner,) = value.values()
    assert given["inputs"]["artifacts"]["model"]["artifacts"][0]["metadata"] == {"value": inner}


def test_answers_are_as_the_backend_takes_them(tmp_path, locations):
    path = locations.local(f"{ROOT}/e/blessing")
    answer = {
        "artifacts": {
            "blessing": {
                "artifacts": [
                    {
                        "name": "blessing",
                        "uri": path,
                        "metadata": {
                            "blessed": 1.0, "unset": None, "several": [1, 2], "some": {"a": 1},
                            "current_model": f"{path}/Format-Serving",
                        },
                    },
                    {"uri": "another"},
                ]
            }
        }
    }  # fmt: skip
    told = finished(answer, {}, locations)
    assert told["artifacts"]["blessing"]["artifacts"] == [
        {
            "name": "blessing",
            "uri": f"{ROOT}/e/blessing",
            "metadata": {
                "blessed": 1.0, "several": "[1, 2]", "some": '{"a": 1}',
                "current_model": f"{ROOT}/e/blessing/Format-Serving",
            },
        }
    ]  # fmt: skip


def test_what_is_known_of_the_data_is_told_of_the_artifact(locations):
    answer = {"artifacts": {"examples": {"artifacts": [{"uri": "a", "metadata": {"split_names": "[]"}}]}}}
    found = {"examples": {"span": 1.0, "input_fingerprint": "x"}}
    (examples,) = finished(answer, found, locations)["artifacts"]["examples"]["artifacts"]
    assert examples == {"uri": "a", "metadata": {"split_names": "[]", "span": 1.0, "input_fingerprint": "x"}}


@pytest.mark.parametrize(("version", "told"), [("", {}), ("3", {"version": 3})])
def test_a_version_is_told_of_the_examples_if_there_is_one(version, told):
    values = {"span": 2.0, "version": version, "input_fingerprint": "x", "input_config": "{}"}
    assert entrypoint._of_examples(values) == {"examples": {"span": 2.0, "input_fingerprint": "x", **told}}
    assert entrypoint._of_examples({"push_directory": "gs://models"}) == {}


STORE = {
    "COMPRESSOR_S3_ENDPOINT": "http://store:9000",
    "COMPRESSOR_S3_ACCESS_KEY": "key",
    "COMPRESSOR_S3_SECRET_KEY": "secret",
}


class TestStore:
    """A task's own object store, which clients know by Amazon's names and the launcher must not."""

    def test_it_goes_before_that_of_the_environment(self):
        ambient = {
            "PATH": "/bin", "AWS_REGION": "eu", "AWS_ENDPOINT_URL_S3": "http://other", "AWS_ACCESS_KEY_ID": "other",
            "AWS_SESSION_TOKEN": "of the other",
        }  # fmt: skip
        assert for_clients({**ambient, **STORE}) == {
            "PATH": "/bin", "AWS_REGION": "eu", "AWS_ENDPOINT_URL": "http://store:9000", "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }  # fmt: skip

    def test_what_it_does_not_say_is_left_to_the_environment(self):
        ambient = {"AWS_ENDPOINT_URL_S3": "http://other", "AWS_ACCESS_KEY_ID": "other", "AWS_SESSION_TOKEN": "token"}
        assert for_clients(ambient) == ambient
        only_endpoint = {**ambient, "COMPRESSOR_S3_ENDPOINT": "http://store:9000"}
        assert for_clients(only_endpoint) == {
            "AWS_ACCESS_KEY_ID": "other", "AWS_SESSION_TOKEN": "token", "AWS_ENDPOINT_URL": "http://store:9000"
        }  # fmt: skip

    def test_the_processes_of_a_task_have_it_and_the_task_itself_has_not(self, monkeypatch, tmp_path):
        for name, value in STORE.items():
            monkeypatch.setenv(name, value)
        before = dict(os.environ)
        (tmp_path / "shows.py").write_text("import os, sys; open(sys.argv[1], 'w').write(repr(dict(os.environ)))")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        assert entrypoint._run("shows", [str(tmp_path / "seen")]) == 0
        seen = (tmp_path / "seen").read_text()
        assert "'AWS_ACCESS_KEY_ID': 'key'" in seen
        assert "COMPRESSOR_S3" not in seen
        assert {**os.environ, "PYTHONPATH": ""} == {**before, "PYTHONPATH": ""}


class TestMain:
    """The whole command, with scripts in place of TFX's two modules."""

    @pytest.fixture
    def run(self, tmp_path, monkeypatch):
        """Runs a task whose executor answers with these artifacts; returns the status and where the answer is."""
        monkeypatch.setenv(entrypoint.ROOT, str(tmp_path))
        modules = []

        def make(
            answer: dict, *, executor: str | None = "a.B", status: int = 0, text: str | None = None, **parameters: str
        ):
            """The status is the process'; `text` is what it writes in place of the answer."""
            given = task(tmp_path)
            given["outputs"]["parameters"] = {name: {"outputFile": f"/tmp/{name}"} for name in parameters}
            file = tmp_path / "task" / "output_metadata.json"
            file.parent.mkdir(exist_ok=True)
            file.write_text("of an earlier try")

            def stand_in(module, arguments):
                modules.append(module)
                handed = json.loads(arguments[arguments.index("--json_serialized_invocation_args") + 1])
                assert "executor-logs" not in handed["outputs"]["artifacts"]
                assert "--runner=DirectRunner" in arguments
                assert (tmp_path / "minio/mlpipeline/v2/artifacts/run/e/blessing").is_dir()
                assert not file.exists()
                told = {"artifacts": answer, **({"parameterValues": parameters} if parameters else {})}
                if text is not None or not status:
                    file.write_text(json.dumps(told) if text is None else text)
                return status

            monkeypatch.setattr(entrypoint, "_run", stand_in)
            arguments = [
                "--tfx_node_id", "Evaluator", *(["--executor_class_path", executor] if executor else ["--probe"]),
                "--json_serialized_invocation_args", json.dumps(given),
                "--json_serialized_inputs_spec_args", json.dumps(INPUTS_SPEC), "--runner=DirectRunner",
            ]  # fmt: skip
            return entrypoint.main(arguments), file, modules

        return make

    BLESSING = {"blessing": {"artifacts": [{"uri": "x", "metadata": {"blessed": 0.0}}]}}  # noqa: RUF012

    def test_the_answer_is_put_right(self, run):
        status, file, modules = run(self.BLESSING)
        assert status == 0
        assert json.loads(file.read_text()) == {"artifacts": self.BLESSING}
        assert modules == [entrypoint._EXECUTOR]
        assert list(file.parent.iterdir()) == [file]

    def test_files_for_people_give_uris(self, run, tmp_path):
        path = tmp_path / "minio/mlpipeline/v2/artifacts/run/e/blessing/verdict.json"
        path.parent.mkdir(parents=True)
        model = tmp_path / "minio/mlpipeline/v2/artifacts/run/reference/1/model"
        path.write_text(json.dumps({"modelLocations": {"candidate": f"{model}/Format-Serving"}}))
        run(self.BLESSING)
        assert json.loads(path.read_text()) == {
            "modelLocations": {"candidate": f"{ROOT}/reference/1/model/Format-Serving"}
        }

    def test_the_first_node_looks_and_tells_by_parameters(self, run):
        status, file, modules = run(self.BLESSING, executor=None, new_data="yes", span="2")
        assert status == 0
        assert modules == [entrypoint._PROBE]
        assert json.loads(file.read_text())["parameterValues"] == {"new_data": "yes", "span": "2"}

    def test_a_parameter_that_is_not_told_of_fails_the_task(self, run, capsys):
        text = json.dumps({"artifacts": self.BLESSING})
        status, _, _ = run({}, executor=None, text=text, new_data="yes")
        assert status == 1
        assert "its executor wrote nothing instead of the declared new_data" in capsys.readouterr().err

    @pytest.mark.parametrize("executor", ["a.B", None])
    def test_a_failure_is_passed_on(self, run, executor):
        status, file, modules = run({}, executor=executor, status=3)
        assert status == 3
        assert not file.exists()
        assert len(modules) == 1

    @pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
    def test_a_crash_after_the_response_is_ignored(self, run, capsys, number):
        whole = json.dumps({"artifacts": self.BLESSING})
        status, file, _ = run({}, status=-number, text=whole)
        assert status == 0
        assert json.loads(file.read_text()) == {"artifacts": self.BLESSING}
        assert f"the process of node Evaluator died of {number.name} on exit" in capsys.readouterr().err

    @pytest.mark.parametrize("text", [None, "", '{"artifacts": {"blessing": {"artif', "[]"])
    def test_a_crash_before_the_response_fails_the_node(self, run, capsys, text):
        status, _, _ = run({}, status=-signal.SIGABRT, text=text)
        assert status == -signal.SIGABRT
        assert "died of" not in capsys.readouterr().err

    def test_a_crash_with_an_incomplete_response_fails_the_node(self, run, capsys):
        status, _, _ = run({}, status=-signal.SIGABRT, text='{"artifacts": {}}')
        assert status == 1
        assert "died of" not in capsys.readouterr().err

    @pytest.mark.parametrize("status", [1, -signal.SIGKILL, -signal.SIGTERM])
    def test_another_end_fails_whatever_was_told(self, run, status):
        ended, _, _ = run({}, status=status, text=json.dumps({"artifacts": self.BLESSING}))
        assert ended == status

    def test_an_output_that_is_not_told_of_fails_the_task(self, run, capsys):
        status, _, _ = run({})
        assert status == 1
        assert "Evaluator: its executor wrote nothing instead of the declared blessing" in capsys.readouterr().err

    def test_an_evaluator_must_say_whether_it_blessed(self, run, capsys):
        silent = {"blessing": {"artifacts": [{"uri": "x", "metadata": {}}]}}
        status, _, _ = run(silent, executor=entrypoint._EVALUATOR)
        assert status == 1
        assert "did not record whether the model is blessed" in capsys.readouterr().err
        status, _, _ = run(self.BLESSING, executor=entrypoint._EVALUATOR)
        assert status == 0


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


CRASHING = """
import json, os, sys
if os.environ["TOLD"]:
    given = json.loads(sys.argv[sys.argv.index("--json_serialized_invocation_args") + 1])
    (blessing,) = given["outputs"]["artifacts"]["blessing"]["artifacts"]
    told = {"artifacts": {"blessing": {"artifacts": [{**blessing, "metadata": {"blessed": 1}}]}}}
    open(given["outputs"]["outputFile"], "w").write(json.dumps(told))
os.abort()
"""
"""An executor that dies as one does whose threads outlive the interpreter, with its work done or not."""


@pytest.mark.parametrize("told", ["all", ""])
def test_an_executor_that_aborts_fails_its_task_unless_all_is_done(tmp_path, told):
    (tmp_path / "crashing.py").write_text(CRASHING)
    main = "import sys; from pipelines.kubeflow import entrypoint as e; e._EXECUTOR = 'crashing'; sys.exit(e.main())"
    arguments = [
        "--tfx_node_id", "Evaluator", "--executor_class_path", "components.evaluator.executor.Executor",
        "--json_serialized_invocation_args", json.dumps(task(tmp_path)),
        "--json_serialized_inputs_spec_args", json.dumps(INPUTS_SPEC),
    ]  # fmt: skip
    environment = {entrypoint.ROOT: str(tmp_path), "PYTHONPATH": str(tmp_path), "TOLD": told}
    done = subprocess.run(
        [sys.executable, "-c", main, *arguments],
        capture_output=True, text=True, env={**os.environ, **environment}, check=False,
    )  # fmt: skip
    assert (done.returncode == 0) == bool(told), done.stderr
    assert ("died of SIGABRT on exit" in done.stderr) == bool(told)
    answer = tmp_path / "task" / "output_metadata.json"
    assert answer.exists() == bool(told)
    if told:
        (blessing,) = json.loads(answer.read_text())["artifacts"]["blessing"]["artifacts"]
        assert blessing["uri"] == f"{ROOT}/e/blessing"


ENDLESS = """
import os, pathlib, signal
draft = pathlib.Path(os.environ["STARTED"] + ".draft")
draft.write_text(str(os.getpid()))
draft.rename(os.environ["STARTED"])
while True:
    signal.pause()
"""
"""An executor that says that it runs, and does not end by itself."""


@pytest.mark.survives("an eviction's SIGTERM to a task of a Kubeflow package")
@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="only Linux tells of processes there")
def test_an_evicted_task_ends_with_its_executor_and_a_word(tmp_path):
    arguments = [
        "--tfx_node_id", "Evaluator", "--executor_class_path", "components.evaluator.executor.Executor",
        "--json_serialized_invocation_args", json.dumps(task(tmp_path)),
        "--json_serialized_inputs_spec_args", json.dumps(INPUTS_SPEC),
    ]  # fmt: skip
    (tmp_path / "endless.py").write_text(ENDLESS)
    main = "import sys; from pipelines.kubeflow import entrypoint as e; e._EXECUTOR = 'endless'; sys.exit(e.main())"
    started = tmp_path / "started"
    environment = {entrypoint.ROOT: str(tmp_path), "PYTHONPATH": str(tmp_path), "STARTED": str(started)}
    process = subprocess.Popen(
        [sys.executable, "-c", main, *arguments], stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    while not started.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped: node Evaluator did not finish, and its output is discarded" in said
    assert "Traceback" not in said
    assert not is_alive(int(started.read_text()))  # it was waited for
    assert not (tmp_path / "task" / "output_metadata.json").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_executor_is_started_ends_it_too(monkeypatch, number):
    started = []

    class Interrupted(subprocess.Popen):
        """A process at whose start the signal comes, before the starter knows of it."""

        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)
            signal.raise_signal(number)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    monkeypatch.setattr(
        entrypoint, "module_command", lambda module: [sys.executable, "-c", "import signal; signal.pause()"]
    )
    with interrupts() as signals, pytest.raises(KeyboardInterrupt):
        entrypoint._run("endless", [])
    assert signals == [number]
    assert [process.returncode for process in started] == [-signal.SIGKILL]
