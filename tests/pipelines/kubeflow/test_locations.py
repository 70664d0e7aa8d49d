from __future__ import annotations

import html
import json

import pytest

from pipelines.kubeflow.locations import Locations


@pytest.fixture
def locations(tmp_path) -> Locations:
    return Locations(str(tmp_path))


@pytest.mark.parametrize(("scheme", "mount"), [("gs", "gcs"), ("s3", "s3"), ("minio", "minio")])
def test_paths_lead_back_to_their_uris(tmp_path, locations, scheme, mount):
    path = locations.local(f"{scheme}://bucket/model")
    longer = locations.local(f"{scheme}://bucket/model_run")
    assert path == f"{tmp_path}/{mount}/bucket/model"
    assert (
        locations.remote(f"{longer}/x and {path}/y") == f"{scheme}://bucket/model_run/x and {scheme}://bucket/model/y"
    )
    assert locations.local("/data/images") == "/data/images"


@pytest.mark.parametrize("name", ["report.html", "report.json", "eval_config.json", "card.md", "notes.txt", "a.pbtxt"])
def test_text_files_give_uris(tmp_path, locations, name):
    model = locations.local("minio://bucket/root/model")
    evaluation = locations.local("minio://bucket/root/evaluation")
    file = tmp_path / "output" / "below" / name
    file.parent.mkdir(parents=True)
    file.write_text(f"<code>{evaluation}</code> {json.dumps({'candidate': f'{model}/Format-Serving'})}\r\n", newline="")
    locations.publish(tmp_path / "output")
    assert file.read_bytes().decode() == (
        '<code>minio://bucket/root/evaluation</code> {"candidate": "minio://bucket/root/model/Format-Serving"}\r\n'
    )


@pytest.mark.parametrize("written", [html.escape, lambda text: json.dumps(text)[1:-1]])
def test_a_path_may_be_written_in_the_files_own_way(tmp_path, locations, written):
    path = locations.local("s3://bucket/r&d/größe/model")
    (tmp_path / "report.html").write_text(written(path))
    locations.publish(tmp_path)
    assert (tmp_path / "report.html").read_text() == written("s3://bucket/r&d/größe/model")


@pytest.mark.parametrize(("name", "rest"), [("saved_model.pb", b""), ("weights.npz", b"\0"), ("odd.txt", b"\xff")])
def test_binary_files_are_not_touched(tmp_path, locations, name, rest):
    content = locations.local("gs://bucket/model").encode() + rest
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / name).write_bytes(content)
    locations.publish(tmp_path / "output")
    assert (tmp_path / "output" / name).read_bytes() == content


def test_a_file_without_paths_is_not_written(tmp_path, locations):
    locations.local("gs://bucket/model")
    file = tmp_path / "classes.txt"
    file.write_text("cat")
    file.chmod(0o444)
    before = file.stat().st_mtime_ns
    locations.publish(tmp_path)
    assert file.stat().st_mtime_ns == before
