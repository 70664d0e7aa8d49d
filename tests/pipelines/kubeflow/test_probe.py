from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from s3_server import S3Server

from components.warm_start.archive import write_handover
from pipelines.kubeflow import new_data, probe

CONFIG = {"data": {"source": "folder", "span_pattern": "span-{SPAN}"}, "search": {}, "gate": {}, "push": {}}
WINDOW = json.dumps({"rolling_range": {"num_spans": 2}})


@pytest.fixture
def data(tmp_path) -> Path:
    for span in (1, 2):
        for name in ("train/cat/a.png", "test/dog/b.png"):
            path = tmp_path / "data" / f"span-{span}" / name
            path.parent.mkdir(parents=True)
            path.write_bytes(b"image")
    return tmp_path / "data"


def values(data: Path, **given) -> dict:
    pattern = {"splits": [{"name": "all", "pattern": "span-{SPAN}/*/*"}]}
    config = {**CONFIG, "volumes": [{"claim": "team", "path": str(data.parent)}]}
    return {
        "input_base": str(data), "input_config": json.dumps(pattern), "only_new_data": 0.0,
        "push_directory": str(data.parent / "serving"), "config": json.dumps(config), **given,
    }  # fmt: skip


def push(data: Path, version: int, *classes: str) -> Path:
    """A model of these classes, in the push directory."""
    folder = data.parent / "serving" / str(version)
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "saved_model.pb").touch()
    (folder / "assets.extra" / "classes.txt").write_text("".join(f"{name}\n" for name in classes))
    return folder


def said(data: Path, only_new: float = 1.0, **given: str) -> str:
    return probe.looked(values(data, only_new_data=only_new, **given))["new_data"]


def test_data_is_old_once_a_run_has_come_to_its_end(data, tmp_path):
    assert [said(data), said(data)] == ["yes", "yes"]  # the first may have failed
    new_data.main([str(tmp_path / "serving")])
    assert said(data) == "no"
    new_data.main([str(tmp_path / "serving")])
    (data / "span-3" / "train" / "cat").mkdir(parents=True)
    (data / "span-3" / "train" / "cat" / "a.png").write_bytes(b"image")
    assert said(data) == "yes"


def test_only_who_asks_is_stopped(data, tmp_path):
    said(data)
    new_data.main([str(tmp_path / "serving")])
    assert said(data, only_new=0.0) == "yes"


def test_a_change_in_any_span_of_the_window_is_new(data, tmp_path):
    assert said(data, range_config=WINDOW) == "yes"
    new_data.main([str(tmp_path / "serving")])
    assert said(data, range_config=WINDOW) == "no"
    (data / "span-1" / "train" / "cat" / "c.png").write_bytes(b"image")
    assert said(data) == "yes"
    assert said(data, range_config=WINDOW) == "yes"


def test_the_same_world_looks_the_same(data):
    write_handover(str(data.parent / "serving"), {}, {"span": 1})
    push(data, 7, "cat")
    assert probe.looked(values(data)) == probe.looked(values(data))


def test_what_previous_run_finds_changes_with_what_a_run_leaves(data):
    before = probe.looked(values(data))
    write_handover(str(data.parent / "serving"), {}, {"span": 1})
    after = probe.looked(values(data))
    assert after.pop("previous_run") != before.pop("previous_run")
    assert after.pop("note") != before.pop("note")
    assert after == before


def test_the_same_run_once_more_starts_from_the_same(data):
    serving = str(data.parent / "serving")
    first = probe.looked(values(data))
    push(data, 7, "cat")
    write_handover(serving, {}, {"span": 1, "note": first["note"], "newest_version": "7"})
    assert probe.looked(values(data))["previous_run"] == first["previous_run"]
    push(data, 8, "cat")  # by another run
    assert probe.looked(values(data))["previous_run"] != first["previous_run"]


def test_another_run_starts_from_what_the_last_one_left(data):
    serving = str(data.parent / "serving")
    first = probe.looked(values(data))
    write_handover(serving, {}, {"span": 1, "note": first["note"], "newest_version": ""})
    (data / "span-2" / "train" / "cat" / "c.png").write_bytes(b"image")
    assert probe.looked(values(data))["previous_run"] != first["previous_run"]


def test_and_with_the_classes_that_are_served(data):
    before = probe.looked(values(data))
    push(data, 7, "cat")
    first = probe.looked(values(data))
    push(data, 8, "cat")
    same = probe.looked(values(data))
    push(data, 9, "cat", "dog")
    assert len({one["previous_run"] for one in (before, first, same, probe.looked(values(data)))}) == 3
    assert first["previous_run"] == same["previous_run"]


def test_the_deployed_version_is_the_newest_that_is_whole(data):
    assert probe.looked(values(data))["deployed_version"] == ""
    push(data, 7, "cat")
    (data.parent / "serving" / "8").mkdir()
    assert probe.looked(values(data))["deployed_version"] == "7"


def test_nothing_is_left_in_the_push_directory(data):
    probe.looked(values(data))
    assert os.listdir(data.parent / "serving") == []
    probe.looked(values(data, only_new_data=1.0))
    assert os.listdir(data.parent / "serving") == [new_data.SEEN_PENDING]


def test_nor_by_a_run_without_new_data(data):
    said(data)
    new_data.main([str(data.parent / "serving")])
    (data.parent / "serving").chmod(0o500)  # in which nothing will be pushed
    assert said(data) == "no"


def answered(tmp_path: Path, given: dict) -> tuple[int, dict]:
    file = tmp_path / "output_metadata.json"
    task = {"inputs": {"parameterValues": given}, "outputs": {"outputFile": str(file)}}
    status = probe.main(["--json_serialized_invocation_args", json.dumps(task)])
    return status, json.loads(file.read_text()) if file.exists() else {}


def test_it_answers_by_parameters(data, tmp_path, capsys):
    status, answer = answered(tmp_path, values(data))
    assert status == 0
    assert answer.keys() == {"parameterValues"}
    told = answer["parameterValues"]
    assert told.keys() == {
        "new_data", "span", "version", "input_fingerprint", "input_config", "note", "previous_run",
        "deployed_version",
    }  # fmt: skip
    assert (told["span"], told["version"]) == (2, "")
    assert json.loads(told["input_config"])["splits"][0]["pattern"] == "span-2/*/*"
    assert capsys.readouterr().out == "there is new data\n"


def no_folder(data: Path) -> str:
    (data.parent / "serving").write_text("a file")
    return str(data.parent / "serving")


def beside_a_file(data: Path) -> str:
    (data.parent / "file").write_text("a file")
    return str(data.parent / "file" / "serving")


def read_only(data: Path) -> str:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (data.parent / "serving").mkdir(mode=0o500)
    return str(data.parent / "serving")


@pytest.mark.parametrize("only_new", [0.0, 1.0])
@pytest.mark.parametrize("make", [no_folder, beside_a_file, read_only])
def test_a_push_directory_that_takes_no_files_ends_the_run_at_once(data, tmp_path, capsys, make, only_new):
    directory = make(data)
    status, answer = answered(tmp_path, values(data, push_directory=directory, only_new_data=only_new))
    assert (status, answer) == (1, {})
    told = capsys.readouterr().err
    assert told.startswith(f"error: push directory {directory!r} cannot be written to (")
    assert told.count("\n") == 1


def test_a_bucket_that_is_not_there_does_so_too(data, tmp_path, capsys, monkeypatch):
    server = S3Server("team")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    try:
        status, _ = answered(tmp_path, values(data, push_directory="s3://team/serving"))
        refused, _ = answered(tmp_path, values(data, push_directory="s3://others/serving"))
    finally:
        server.close()
    assert (status, refused) == (0, 1)
    assert "error: push directory 's3://others/serving' cannot be " in capsys.readouterr().err


def test_a_missing_span_is_told_in_one_line(data, tmp_path, capsys):
    status, answer = answered(tmp_path, values(data, input_base=str(tmp_path / "nothing")))
    assert (status, answer) == (1, {})
    told = capsys.readouterr().err
    assert told.startswith("error: cannot find the newest span 'span-{SPAN}'")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("min_accuracy", 1.01, "gate.min_accuracy is 1.01: it must be at most 1."),
        ("tau", 7.0, "search.tau is 7.0: it must be at most 1."),
        ("max_trials", 0.0, "search.max_trials is 0.0: it must be more than 0."),
        ("max_trials", 1.5, "search.max_trials is 1.5: it must be a whole number."),
        ("span_pattern", "span-{SPN}", "data.span_pattern is 'span-{SPN}': it must contain {SPAN}, as in"),
        ("push_directory", "", "push.directory is empty: give a path."),
        ("push_directory", "/elsewhere", "push.directory is '/elsewhere', which the nodes cannot reach: give a folder"),
    ],
)
def test_an_invalid_runtime_parameter_ends_the_run_at_once(data, tmp_path, capsys, name, value, message):
    status, answer = answered(tmp_path, values(data, **{name: value}))
    assert (status, answer) == (1, {})
    told = capsys.readouterr().err
    assert told.startswith(f"error: runtime parameter {name}: {message}")
    assert told.count("\n") == 1
    assert not (data.parent / "serving").exists()


def test_valid_runtime_parameters_arrive_as_doubles(data):
    given = {"tau": 1.0, "max_trials": 3.0, "span_window": 2.0, "min_accuracy": 0.0, "span_pattern": "span-7"}
    assert probe.looked(values(data, **given))["new_data"] == "yes"
