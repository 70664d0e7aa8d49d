"""The compiled Kubeflow package, from images to a pushed model, each task as the backend runs it."""

from __future__ import annotations

import copy
import dataclasses
import html
import json
import re
import zipfile

import pytest
import tensorflow as tf
import yaml
from kubeflow_backend import Done
from kubeflow_cluster import Cluster
from kubeflow_errors import TaskFailed
from kubeflow_pod import fresh_process
from s3_server import S3Server
from warm_process import run_module

pytestmark = pytest.mark.slow


OLD_LAYOUT = pytest.param("2.14", marks=pytest.mark.long)


@pytest.fixture(scope="module", params=["2.17", OLD_LAYOUT])
def cluster(request, tmp_path_factory, small_backbone) -> Cluster:
    return Cluster(tmp_path_factory.mktemp("cluster"), small_backbone, request.param, start=run_module)


@pytest.fixture(scope="module")
def done(cluster) -> dict[str, Done]:
    return cluster.backend.run(cluster.package, {"only_new_data": 1, "tau": 0.7, "max_drop": 0.95})


def test_pushed_model_predicts(cluster, done):
    (model,) = cluster.pushed
    served = tf.saved_model.load(str(model)).signatures["serving_default"]
    (image, *_) = sorted((cluster.folder / "images").rglob("*.*"))
    answer = served(image_bytes=tf.constant([image.read_bytes()]))
    assert answer["probabilities"].shape == (1, 3)


def test_artifacts_are_in_the_object_store_alone(cluster, done):
    root = cluster.backend.root
    for task in done.values():
        for artifact in task.outputs.values():
            assert artifact["uri"].startswith(root)
            paths = {key: value for key, value in artifact["metadata"].items() if key != "pushed_destination"}
            assert "/tmp" not in json.dumps(paths)
    assert "translators.npz" in cluster.backend.files(done["TranslatorPretrainer"].outputs["translators"])
    assert any(name.endswith("saved_model.pb") for name in cluster.backend.files(done["retrain"].outputs["model"]))


@pytest.mark.parametrize(
    ("node", "line"),
    [
        ("reference", r"epoch 1/1: loss [\d.]+, val_accuracy [\d.]+ \(fine-tuning\)"),
        ("TranslatorPretrainer", r"fitted 1 translators in one pass over the images"),
        ("PruningSearch", r"trial 2/2: .* scores [\d.]+; best so far block_.* \([\d,]+ parameters, accuracy .*\)"),
    ],
)
def test_a_tasks_log_reports_progress_in_one_line_per_event(done, node, line):
    told = [words for words in done[node].log.splitlines() if re.search(rf"^I\d{{4}} .*\.py:\d+\] {line}$", words)]
    assert len(told) == 1, done[node].log


def test_results_for_the_next_run_are_beside_the_pushed_models(cluster, done):
    assert not cluster.backend.files(done["PreviousRun"].outputs["hyperparameters"])  # there was no run before
    left = zipfile.ZipFile(cluster.folder / "serving" / ".handover.zip")
    names = {
        "hyperparameters/best_hyperparameters.txt",
        "translators/manifest.json",
        "statistics/Split-train/FeatureStats.pb",
    }
    assert names <= set(left.namelist())
    about = json.loads(left.read("about.json"))["about"]
    (pushed,) = cluster.pushed
    assert (about["span"], about["newest_version"]) == (1, pushed.name)
    assert about["note"] == done["NewData"].parameters["note"]


def test_artifact_metadata_reaches_later_tasks(done):
    assert json.loads(done["ImageExampleGen"].outputs["examples"]["metadata"]["split_names"]) == [
        "train",
        "eval",
        "test",
    ]
    assert done["ImageExampleGen"].outputs["examples"]["metadata"]["span"] == 1.0
    assert done["Evaluator"].outputs["blessing"]["metadata"]["blessed"] == 1.0
    assert done["Pusher"].outputs["pushed_model"]["metadata"]["pushed"] == 1.0


def test_the_report_is_a_page_in_the_object_store(cluster, done):
    report = done["Report"].outputs["report"]
    assert report["uri"].endswith("/report/report.html")
    (page,) = cluster.backend.files(report).values()
    assert "on-kubeflow" in page.read_text()


def test_no_file_names_a_path_inside_a_pod(cluster, done):
    root = cluster.backend.root.replace("://", "/")
    files = [
        path
        for task in done.values()
        for name, artifact in task.outputs.items()
        if name != "executor-logs"
        for path in cluster.backend.files(artifact).values()
    ]
    files += [path for path in (cluster.folder / "serving").rglob("*") if path.is_file()]
    assert [str(path) for path in files if f"/{root}".encode() in path.read_bytes()] == []
    (page,) = cluster.backend.files(done["Report"].outputs["report"]).values()
    for node, output in (("ImageExampleGen", "examples"), ("Converter", "model"), ("Evaluator", "evaluation")):
        assert f"<code>{done[node].outputs[output]['uri']}</code>" in page.read_text()
    evaluated = json.loads(
        cluster.backend.files(done["Evaluator"].outputs["evaluation"])["eval_config.json"].read_text()
    )
    assert evaluated["modelLocations"]["candidate"].startswith(done["Converter"].outputs["model"]["uri"])


def test_the_report_shows_the_configuration_that_ran(cluster, done):
    (page,) = cluster.backend.files(done["Report"].outputs["report"]).values()
    (text,) = re.findall(r"<summary>Configuration .*?</summary>\s*<pre[^>]*>(.*?)</pre>", page.read_text(), re.DOTALL)
    shown = yaml.safe_load(html.unescape(text))
    assert shown["search"]["tau"] == 0.7
    assert shown["search"]["max_trials"] == 2
    assert shown["gate"]["max_drop"] == 0.95
    assert shown["data"]["path"] == str(cluster.folder / "images")
    assert shown["push"]["directory"] == str(cluster.folder / "serving")
    assert shown["only_new_data"] == 1


def test_converter_runs_where_downloads_take_a_prefix_for_a_folder(cluster, done):
    """Outputs are laid out as at present, and downloads take a prefix for a folder."""
    if cluster.backend.layout != "2.17":
        pytest.skip("one layout's artifacts are enough")
    backend = cluster.new_backend("2.16")
    values = {name: given["defaultValue"] for name, given in cluster.package.parameters.items()}
    converted = backend.task(cluster.package, "Converter", values, done)
    assert any(name.endswith("saved_model.pb") for name in backend.files(converted.outputs["model"]))


def test_a_run_without_new_data_ends_with_its_first_task(cluster, done):
    idle = cluster.backend.run(cluster.package, {"only_new_data": 1})
    assert list(idle) == ["NewData"]
    assert idle["NewData"].outputs.keys() == {"executor-logs"}
    assert len(cluster.pushed) == 1
    (image, *_) = sorted((cluster.folder / "images").rglob("*.*"))
    image.rename(image.with_stem("renamed"))
    values = {name: given["defaultValue"] for name, given in cluster.package.parameters.items()}
    again = cluster.backend.task(cluster.package, "NewData", {**values, "only_new_data": 1}, {})
    assert again.parameters["new_data"] == "yes"
    image.with_stem("renamed").rename(image)


def test_a_second_run_takes_unchanged_tasks_from_the_cache(cluster, done):
    values = {name: given["defaultValue"] for name, given in cluster.package.parameters.items()}
    found = cluster.backend.task(cluster.package, "NewData", values, {})
    again = cluster.backend.task(cluster.package, "ImageExampleGen", values, {"NewData": found})
    assert again.cached
    assert again.outputs == done["ImageExampleGen"].outputs
    statistics = cluster.backend.task(cluster.package, "StatisticsGen", values, {"ImageExampleGen": again})
    assert statistics.cached
    before = {"NewData": found, "StatisticsGen": statistics}
    assert cluster.backend.task(cluster.package, "PreviousRun", values, before).cached


def test_images_and_models_may_be_in_an_object_store(cluster, done):
    """And artifacts in another one, an ``s3://`` root, to which the launcher has keys of its own."""
    if cluster.backend.layout != "2.17":
        pytest.skip("what is no output is the same in both layouts")
    server = S3Server("team")
    for path in sorted((cluster.folder / "images").rglob("*.*")):
        server.client.upload_file(str(path), "team", str(path.relative_to(cluster.folder)))
    ambient = dict(server.environment)
    endpoint = ambient.pop("AWS_ENDPOINT_URL")
    keys = {"accesskey": ambient.pop("AWS_ACCESS_KEY_ID"), "secretkey": ambient.pop("AWS_SECRET_ACCESS_KEY")}
    launchers = {
        "AWS_ENDPOINT_URL": "http://artifacts.example",
        "AWS_ACCESS_KEY_ID": "launcher",
        "AWS_SESSION_TOKEN": "x",
    }
    backend = copy.copy(cluster.backend)
    backend.root, backend.secrets = "s3://artifacts/root", {"team-store": keys}
    backend.environment = {**cluster.backend.environment, **ambient, **launchers}
    package = cluster.compiled(f"s3={{endpoint: '{endpoint}', secret: team-store}}")
    values = {name: given["defaultValue"] for name, given in package.parameters.items()}
    values |= {"data_path": "minio://team/images", "push_directory": "minio://team/serving", "only_new_data": 1}
    try:
        found = backend.task(package, "NewData", values, {})
        read = backend.task(package, "ImageExampleGen", values, {"NewData": found})
        pushed = backend.task(package, "Pusher", values, done)
        names = server.names("team")
    finally:
        server.close()
    assert read.outputs["examples"]["uri"].startswith("s3://artifacts/root/")
    assert read.outputs["examples"]["metadata"]["span"] == 1.0
    assert read.outputs["examples"]["metadata"]["skipped"] == 0.0
    assert found.parameters["new_data"] == "yes"
    destination = pushed.outputs["pushed_model"]["metadata"]["pushed_destination"]
    version = destination.removeprefix("minio://team/serving/")
    assert version.isdigit()
    # The Pusher's end makes a note of what was seen.
    seen, *files = [name for name in names if name.startswith("serving/")]
    assert seen == "serving/.data-seen"
    assert all(name.startswith(f"serving/{version}/") for name in files)
    assert {f"serving/{version}/saved_model.pb", f"serving/{version}/assets.extra/model_card.md"} <= set(files)


STOCK = ["python", "-m", "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"]


@pytest.mark.parametrize("cluster", [OLD_LAYOUT], indirect=True, scope="module")
class TestWithoutTheEntrypoint:
    """Why there is one: TFX's own command, in the backend as it is, and in a process without the project's modules."""

    def run(self, cluster: Cluster, done: dict[str, Done], node: str, *, logs: bool = True) -> None:
        package = copy.deepcopy(cluster.package)
        _, container = package.components[package.hashes[node]]
        container["command"] = STOCK
        backend = cluster.new_backend(cluster.backend.layout, logs=logs)
        backend.start = fresh_process
        values = {name: one["defaultValue"] for name, one in package.parameters.items()}
        backend.task(package, node, values, done)

    def test_tfx_fails_on_the_type_of_the_logs(self, cluster, done):
        with pytest.raises(TaskFailed, match=r"system\.Artifact"):
            self.run(cluster, done, "ImageExampleGen")

    def test_tfx_cannot_open_the_object_store(self, cluster, done):
        with pytest.raises(TaskFailed, match="Unable to get filesystem"):
            self.run(cluster, done, "ImageExampleGen", logs=False)

    def test_tfx_finds_no_span_without_its_driver(self, cluster, done):
        given = done["NewData"].parameters
        parameters = {**given, "input_config": given["input_config"].replace("span-1", "span-{SPAN}")}
        found = dataclasses.replace(done["NewData"], parameters=parameters)
        with pytest.raises(TaskFailed, match=r"span-\{SPAN\}\W+does not exist"):
            self.run(cluster, {**done, "NewData": found}, "ImageExampleGen", logs=False)

    def test_tfx_fails_on_inputs_without_types(self, cluster, done):
        with pytest.raises(TaskFailed, match=r"AttributeError|UnboundLocalError"):
            self.run(cluster, done, "SchemaGen", logs=False)
