from __future__ import annotations

import filecmp
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from proxies import Proxy, Silent, set_proxy
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.extensions.google_cloud_ai_platform import constants
from tfx.extensions.google_cloud_ai_platform.pusher import executor as vertex
from tfx.types import standard_artifacts
from tfx.types.channel_utils import as_channel
from tfx.utils import path_utils

from components.artifacts.class_list import write_class_list
from components.artifacts.file_names import SEARCH_REPORT_FILE, VERDICT_FILE
from components.artifacts.model_files import files_sha256, model_files
from components.artifacts.pushed_versions import versions
from components.artifacts.verdict import LEFT_OUT, MODEL_SHA256
from components.pusher import EndpointPusher, smoke, smoke_test
from components.pusher.executor import EndpointExecutor, Executor
from components.pusher.smoke_test import check_in_model_server, check_in_process
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.export import tflite_path
from compressor_lib.deployment.gate import Thresholds, Verdict, judge, judge_format
from compressor_lib.deployment.intervals import PairedCounts
from compressor_lib.deployment.model_metrics import Latency, ModelMetrics, Speedup, read_figures, write_figures
from compressor_lib.errors import CompressorError

pytestmark = pytest.mark.slow

TRIAL = {
    "backbone": "MobileNetV2", "connection": "block_2_add->head", "hyperparameters": {"lr": 0.1},
}  # fmt: skip
SERVER = """#!{python}
# What `tensorflow_model_server` does, as far as it is asked here, over its REST interface.
import base64, json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
import tensorflow as tf

flags = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
(version,) = [path for path in Path(flags["model_base_path"]).iterdir() if path.name.isdigit()]
served = tf.saved_model.load(str(version)).signatures["serving_default"]

class Handler(BaseHTTPRequestHandler):
    def answer(self, content):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def do_GET(self):
        assert self.path == "/v1/models/" + flags["model_name"], self.path
        self.answer({{"model_version_status": [{{"version": version.name, "state": "AVAILABLE"}}]}})

    def do_POST(self):
        assert self.path == "/v1/models/" + flags["model_name"] + ":predict", self.path
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        images = [base64.b64decode(one["b64"]) for one in asked["instances"]]
        answer = served(image_bytes=tf.constant(images))
        rows = zip(answer["probabilities"].numpy().tolist(), answer["class"].numpy())
        self.answer({{"predictions": [{{"probabilities": p, "class": {name}}} for p, c in rows]}})

HTTPServer(("127.0.0.1", int(flags["rest_api_port"])), Handler).serve_forever()
"""


@pytest.fixture
def candidate(reference, tmp_path) -> standard_artifacts.Model:
    """A model of one's own, to be pushed."""
    model = standard_artifacts.Model()
    model.uri = str(tmp_path / "model")
    shutil.copytree(reference.model.uri, model.uri)
    folder = Path(path_utils.serving_model_path(model.uri))
    size = tflite_path(folder).stat().st_size
    write_figures(
        folder,
        ModelMetrics(
            read_figures(folder).parameters,
            {"reference": Latency(4.0, 3.5, 4.5), "float32": Latency(2.0, 1.8, 2.5)},
            {"float32": Speedup(2.0, 1.6, 2.4)},
            {"reference": 4 * size, "float32": size},
        ),
    )
    return model


BOUNDS = Thresholds(min_accuracy=0.5, max_drop=0.3, max_class_drop=0.5, confidence=0.9)


def judged(name: str, both: int, lost: int, neither: int) -> EvalResult:
    pairs = PairedCounts(both, 0, lost, neither)
    return EvalResult.from_counts(name, images=pairs.images, right=both, pairs=pairs, confidence=0.9)


OVERALL = judged("", 54, 2, 4)
VERDICT = judge(
    BOUNDS,
    OVERALL,
    [judged("a", 48, 1, 1), judged("b", 6, 1, 3)],
    "5ha256",
    formats={"float32": judge_format(BOUNDS, OVERALL, []), "int8": judge_format(BOUNDS, judged("", 24, 32, 4), [])},
    notes=["class 'c' came since the baseline."],
)


def statistics(folder: Path) -> standard_artifacts.ExampleStatistics:
    """Of three images to train on."""
    split = folder / "Split-train"
    split.mkdir(parents=True)
    found = statistics_pb2.DatasetFeatureStatisticsList()
    counted = found.datasets.add(num_examples=3)
    label = counted.features.add(path={"step": ["label"]}, string_stats={"common_stats": {"tot_num_values": 3}})
    for name, count in (("a", 2), ("b", 1)):
        label.string_stats.rank_histogram.buckets.add(label=name, sample_count=count)
    (split / "FeatureStats.pb").write_bytes(found.SerializeToString())
    artifact = standard_artifacts.ExampleStatistics()
    artifact.uri = str(folder)
    return artifact


@pytest.fixture
def card_inputs(reference, tmp_path) -> dict[str, list]:
    """What the card is made from."""
    evaluation, results = standard_artifacts.ModelEvaluation(), standard_artifacts.TunerResults()
    for artifact, name, content in (
        (evaluation, VERDICT_FILE, VERDICT.to_json()),
        (
            results,
            SEARCH_REPORT_FILE,
            json.dumps([TRIAL]),
        ),
    ):
        artifact.uri = str(tmp_path / name.partition(".")[0])
        Path(artifact.uri).mkdir()
        Path(artifact.uri, name).write_text(content)
    return {
        "evaluation": [evaluation],
        "tuner_results": [results],
        "reference": [reference.model],
        "statistics": [statistics(tmp_path / "statistics")],
    }


@pytest.fixture
def push(candidate, card_inputs, tmp_path):
    """Pushes it; gives what is told of it."""
    sha256 = files_sha256(f"{candidate.uri}/Format-Serving")

    def pushed(*, blessed: bool = True, keep: int = 5, left_out: Sequence[str] = ()) -> standard_artifacts.PushedModel:
        blessing, told = standard_artifacts.ModelBlessing(), standard_artifacts.PushedModel()
        blessing.uri, told.uri = str(tmp_path / "blessing"), str(tmp_path / "pushed")
        blessing.set_int_custom_property("blessed", int(blessed))
        blessing.set_string_custom_property(MODEL_SHA256, sha256)
        blessing.set_string_custom_property(LEFT_OUT, json.dumps(left_out))
        given = {
            "push_directory": str(tmp_path / "serving"), "keep": keep, "code_version": "",
            "name": "images", "label": "label", "removed_classes": "[]",
        }  # fmt: skip
        inputs = {"model": [candidate], "model_blessing": [blessing], **card_inputs}
        Executor().Do(inputs, {"pushed_model": [told]}, given)
        return told

    return pushed


@pytest.fixture
def tested_here(monkeypatch) -> None:
    """Tests models in this process instead of a new one, which takes seconds to import TensorFlow."""

    def check(model: str) -> None:
        assert not smoke.main(model)

    monkeypatch.setattr("components.pusher.executor.check_in_process", check)


def test_evaluated_model_is_pushed_and_old_versions_are_deleted(push, candidate, tmp_path):
    first, second = push(keep=1), push(keep=1)
    (version,) = versions(str(tmp_path / "serving"))
    assert second.get_int_custom_property("pushed") == 1
    assert second.get_string_custom_property("pushed_version") == str(version)
    assert second.get_string_custom_property("pushed_destination") == str(tmp_path / "serving" / str(version))
    assert first.get_string_custom_property("pushed_version") < str(version)
    pushed = tmp_path / "serving" / str(version)
    evaluated, (card, text) = Path(candidate.uri, "Format-Serving"), sorted(pushed.glob("assets.extra/model_card.*"))
    assert filecmp.cmpfiles(evaluated, pushed, model_files(str(evaluated)), shallow=False)[1:] == ([], [])
    assert [path.name for path in (tmp_path / "serving").iterdir()] == [str(version)]

    told = json.loads(card.read_text())
    assert (told["name"], told["classes"]) == ("images", ["a", "b", "c"])
    assert told["data"] == {"train": {"images": 3, "classes": {"a": 2, "b": 1}}}
    assert told["parameters"] == told["reference"]["parameters"] == read_figures(evaluated).parameters
    assert told["tflite"]["float32"]["bytes"] == tflite_path(evaluated).stat().st_size
    assert told["tflite"]["float32"]["latency"] == {"median": 2.0, "low": 1.8, "high": 2.5}
    assert told["reference"]["latency"]["median"] == 4.0
    assert told["tflite"]["float32"]["accuracy"]["right"] == told["accuracy"]["right"] == 54
    assert list(told["left_out"]) == ["int8"]
    assert told["cut"]["connection"] == "block_2_add->head"
    assert told["gate"] == {
        "min_accuracy": 0.5, "max_drop": 0.3, "max_class_drop": 0.5, "confidence": 0.9, "confidence_shown": 0.9,
    }  # fmt: skip
    lines = text.read_text().splitlines()
    for line in (
        "# images",
        "| train | 3: a 2, b 1 |",
        "`block_2_add->head` of MobileNetV2: the layers between were removed.",
        "It met these thresholds on the test images, judged by the lower end of each interval:",
        "- The accuracy is uncertain for classes with fewer than 30 test images: b (10).",
    ):
        assert line in lines


@pytest.mark.usefixtures("tested_here")
class TestLeftOut:
    """int8 loses too much: it is not pushed, and float32 is."""

    @pytest.fixture
    def candidate(self, candidate, card_inputs):
        evaluated = f"{candidate.uri}/Format-Serving"
        shutil.copy(tflite_path(evaluated), tflite_path(evaluated, "int8"))
        losing = EvalResult.from_counts("", images=60, right=30, pairs=PairedCounts(30, 0, 30, 0))
        formats = {
            "float32": judge_format(VERDICT.thresholds, VERDICT.overall, []),
            "int8": judge_format(VERDICT.thresholds, losing, []),
        }
        verdict = replace(VERDICT, formats=formats)
        Path(card_inputs["evaluation"][0].uri, VERDICT_FILE).write_text(verdict.to_json())
        return candidate

    def test_failed_format_is_left_out(self, push, tmp_path):
        told = push(left_out=["int8"])
        pushed = Path(told.get_string_custom_property("pushed_destination"))
        assert [path.name for path in sorted(pushed.glob("assets.extra/*.tflite"))] == ["model.tflite"]
        assert sorted(model_files(told.uri)) == sorted(model_files(str(pushed)))  # what rollbacks compare with

    def test_its_card_says_so(self, push):
        told = push(left_out=["int8"])
        pushed = Path(told.get_string_custom_property("pushed_destination"))
        card = json.loads((pushed / "assets.extra/model_card.json").read_text())
        assert list(card["tflite"]) == ["float32"]
        assert list(card["left_out"]) == ["int8"]
        assert "int8" not in {*read_figures(pushed).latency, *read_figures(pushed).speedup, *read_figures(pushed).bytes}
        assert "- int8 is left out: accuracy is 50.0 % (30 of 60" in (pushed / "assets.extra/model_card.md").read_text()

    def test_one_that_does_not_convert_is_on_the_card_too(self, push, card_inputs):
        path = Path(card_inputs["evaluation"][0].uri, VERDICT_FILE)
        verdict = Verdict.from_json(path.read_text())
        path.write_text(replace(verdict, not_converted={"float16": "it does not convert"}).to_json())
        pushed = Path(push(left_out=["int8"]).get_string_custom_property("pushed_destination"))
        card = json.loads((pushed / "assets.extra/model_card.json").read_text())
        assert list(card["left_out"]) == ["int8", "float16"]
        assert card["left_out"]["float16"] == ["it does not convert"]

    def test_change_is_detected_with_a_format_left_out(self, push, candidate):
        with tflite_path(f"{candidate.uri}/Format-Serving", "int8").open("ab") as file:
            file.write(b"changed")
        with pytest.raises(CompressorError, match="has changed since it was evaluated"):
            push(left_out=["int8"])


def test_unblessed_model_is_not_pushed(push, tmp_path):
    assert push(blessed=False).get_int_custom_property("pushed") == 0
    assert not (tmp_path / "serving").exists()


@pytest.mark.survives("a model is changed between evaluation and push")
def test_changed_model_is_not_pushed(push, candidate, tmp_path):
    path = Path(candidate.uri, "Format-Serving", "assets.extra", "classes.txt")
    path.write_text(path.read_text().replace("a", "z"))
    with pytest.raises(CompressorError, match="has changed since it was evaluated"):
        push()
    assert list((tmp_path / "serving").iterdir()) == []


@pytest.mark.survives("a pushed model does not respond")
@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("saved_model.pb", b"no graph", "does not work in a separate process"),
        ("assets.extra/classes.txt", b"a\nb\n", r"probabilities of shape \(3, 3\) for 2 classes"),
    ],
)
def test_broken_model_is_detected(candidate, path, content, message):
    model = Path(candidate.uri, "Format-Serving")
    (model / path).write_bytes(content)
    with pytest.raises(CompressorError, match=message):
        check_in_process(str(model))


class TestEndpoint:
    @pytest.fixture
    def deployed(self, monkeypatch, vertex_api) -> list[str]:
        """What Vertex AI, for which this stands, was asked to deploy."""
        deployed: list[str] = []

        def deploy(*, serving_path: str, ai_platform_serving_args: dict[str, str], **_: object) -> str:
            deployed.append(serving_path)
            vertex_api.deploy(ai_platform_serving_args["endpoint_name"], serving_path)
            return "projects/mine/endpoints/1"

        monkeypatch.setattr(vertex.runner, "deploy_model_for_aip_prediction", deploy)
        return deployed

    @pytest.fixture
    def serve(self, vertex_api, tmp_path) -> Callable[..., None]:
        """Lets the endpoint serve a model of some classes."""

        def serve(*classes: str) -> None:
            write_class_list(str(tmp_path / "served" / "assets.extra"), classes)
            vertex_api.deploy("cats", str(tmp_path / "served"))

        return serve

    def push(
        self,
        candidate: standard_artifacts.Model,
        tmp_path: Path,
        left_out: Sequence[str] = (),
        removed: Sequence[str] = (),
    ) -> standard_artifacts.PushedModel:
        blessing, told = standard_artifacts.ModelBlessing(), standard_artifacts.PushedModel()
        told.uri = str(tmp_path / "pushed")
        blessing.set_int_custom_property("blessed", 1)
        blessing.set_string_custom_property(MODEL_SHA256, files_sha256(f"{candidate.uri}/Format-Serving"))
        blessing.set_string_custom_property(LEFT_OUT, json.dumps(left_out))
        pusher = EndpointPusher(
            model=as_channel([candidate]),
            model_blessing=as_channel([blessing]),
            custom_config={
                constants.SERVING_ARGS_KEY: {"project": "mine", "endpoint_name": "cats"},
                constants.VERTEX_REGION_KEY: "here",
                constants.ENABLE_VERTEX_KEY: True,
            },
            removed_classes=removed,
        )
        inputs = {"model": [candidate], "model_blessing": [blessing]}
        EndpointExecutor().Do(inputs, {"pushed_model": [told]}, pusher.exec_properties)
        return told

    @pytest.mark.survives("a pushed model does not respond")
    def test_broken_model_is_not_deployed(self, candidate, deployed, tmp_path):
        Path(candidate.uri, "Format-Serving", "saved_model.pb").write_bytes(b"no graph")
        with pytest.raises(CompressorError, match="does not work in a separate process, so it is not pushed"):
            self.push(candidate, tmp_path)
        assert deployed == []

    def test_a_model_that_answers_is_deployed(self, candidate, deployed, tmp_path):
        told = self.push(candidate, tmp_path)
        assert deployed == [told.uri]
        assert told.get_string_custom_property("pushed_destination") == "projects/mine/endpoints/1"

    @pytest.mark.usefixtures("tested_here")
    def test_a_format_that_fails_is_not_deployed(self, candidate, deployed, tmp_path):
        evaluated = Path(candidate.uri, "Format-Serving")
        shutil.copy(tflite_path(evaluated), tflite_path(evaluated, "int8"))
        self.push(candidate, tmp_path, left_out=["int8"])
        (served,) = deployed
        assert [path.name for path in Path(served).rglob("*.tflite")] == ["model.tflite"]

    @pytest.mark.usefixtures("tested_here")
    def test_model_with_a_new_class_is_deployed(self, candidate, deployed, serve, tmp_path):
        serve("a", "b")
        told = self.push(candidate, tmp_path)
        assert deployed == [told.uri]
        self.push(candidate, tmp_path / "again")  # what serves now is what was deployed

    @pytest.mark.usefixtures("tested_here")
    def test_model_without_a_removed_class_is_deployed(self, candidate, deployed, serve, tmp_path):
        serve("a", "eel", "b")
        self.push(candidate, tmp_path, removed=["eel"])
        assert len(deployed) == 1

    @pytest.mark.usefixtures("tested_here")
    @pytest.mark.parametrize("served", [("b", "a"), ("a", "eel", "b"), ("a", "b", "c", "d")])
    def test_model_with_another_class_order_is_not_deployed(self, candidate, deployed, serve, tmp_path, served):
        serve(*served)
        with pytest.raises(CompressorError, match=r"model 'v1', which endpoint 'cats' serves, \(.*so it is not pushed"):
            self.push(candidate, tmp_path)
        assert deployed == []


class TestModelServer:
    def program(self, folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        file = folder / "bin" / smoke_test.MODEL_SERVER
        file.parent.mkdir()
        file.write_text(text)
        file.chmod(0o755)
        monkeypatch.setenv("PATH", str(file.parent), prepend=":")

    @pytest.fixture
    def model(self, candidate, tmp_path) -> str:
        return shutil.move(Path(candidate.uri, "Format-Serving"), tmp_path / "staged" / "1")

    def test_no_model_server_no_test(self, model, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        assert not check_in_model_server(model)

    @pytest.mark.skipif(shutil.which(smoke_test.MODEL_SERVER) is None, reason="there is no model server on PATH")
    def test_model_works_in_the_real_server(self, model):
        assert check_in_model_server(model)

    def test_model_works_in_the_server(self, model, monkeypatch, tmp_path):
        self.program(tmp_path, SERVER.format(python=sys.executable, name="c.decode()"), monkeypatch)
        assert check_in_model_server(model)

    @pytest.mark.parametrize("kind", [Silent, lambda: Proxy(status=403)], ids=["hangs", "refuses"])
    def test_server_is_queried_without_a_proxy(self, model, monkeypatch, tmp_path, kind):
        proxy = kind()
        set_proxy(monkeypatch, proxy.url)
        monkeypatch.setattr(smoke_test, "_SECONDS", 120)
        self.program(tmp_path, SERVER.format(python=sys.executable, name="c.decode()"), monkeypatch)
        assert check_in_model_server(model)
        proxy.close()

    def test_server_that_does_not_start_is_reported(self, model, monkeypatch, tmp_path):
        self.program(tmp_path, "#!/bin/sh\necho no such model >&2\nexit 1\n", monkeypatch)
        with pytest.raises(CompressorError, match="in tensorflow_model_server, so it is not pushed: no such model"):
            check_in_model_server(model)


@pytest.mark.survives("a pushed model gives wrong predictions")
@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ({"probabilities": [0.5, 0.5], "class": "a"}, "for 3 classes"),
        ({"probabilities": [0.5, 0.5, float("nan")], "class": "a"}, "for 3 classes"),
        ({"probabilities": [0.5, 0.5, 0.0], "class": "d"}, "which it does not have"),
    ],
)
def test_wrong_prediction_is_detected(answer, wrong):
    with pytest.raises(CompressorError, match=wrong):
        smoke_test._check_response(answer, ["a", "b", "c"])
