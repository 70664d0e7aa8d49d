from __future__ import annotations

import json
from pathlib import Path

import pytest

from compressor_lib.errors import CompressorError
from pipelines.kubeflow import example_gen_driver

EXAMPLES = {"instanceSchema": "title: tfx.Examples\ntype: object\nproperties:\n  span:\n    type: integer\n"}
SPEC = {"parameters": {name: {"parameterType": "STRING"} for name in ("input_base", "input_config", "range_config")}}
WINDOW = json.dumps({"rolling_range": {"num_spans": 2}})


def found(data: Path, pattern: str, **values) -> dict:
    """What the driver says of a folder, the artifact's metadata among it."""
    file = data.parent / "answer.json"
    config = {"splits": [{"name": "all", "pattern": pattern}]}
    task = {
        "inputs": {"parameterValues": {"input_base": str(data), "input_config": json.dumps(config), **values}},
        "outputs": {
            "artifacts": {"examples": {"artifacts": [{"name": "examples", "type": EXAMPLES, "uri": "u"}]}},
            "outputFile": str(file),
        },
    }
    example_gen_driver.main(
        ["--json_serialized_invocation_args", json.dumps(task), "--json_serialized_inputs_spec_args", json.dumps(SPEC)]
    )
    answer = json.loads(file.read_text())
    return {**answer["parameterValues"], "examples": answer["artifacts"]["examples"]["artifacts"][0]["metadata"]}


@pytest.fixture
def data(tmp_path) -> Path:
    for span in (1, 2):
        for name in ("train/cat/a.png", "test/dog/b.png"):
            path = tmp_path / "data" / f"span-{span}" / name
            path.parent.mkdir(parents=True)
            path.write_bytes(b"image")
    return tmp_path / "data"


def test_the_newest_span_is_found_and_told_of_the_examples(data):
    said = found(data, "span-{SPAN}/*/*")
    assert said["span"] == 2
    assert json.loads(said["input_config"])["splits"][0]["pattern"] == "span-2/*/*"
    assert said["examples"]["custom:span"] == 2
    assert said["examples"]["input_fingerprint"] == said["input_fingerprint"]


def test_images_that_are_split_already_are_seen_by_name(data):
    first = found(data, "span-{SPAN}/*/*")["input_fingerprint"]
    image = data / "span-2" / "train" / "cat" / "a.png"
    image.rename(image.with_name("c.png"))
    assert found(data, "span-{SPAN}/*/*")["input_fingerprint"] != first


def test_records_have_spans_too(tmp_path):
    for span in (3, 11):
        (tmp_path / "data" / f"span-{span}").mkdir(parents=True)
        (tmp_path / "data" / f"span-{span}" / "part-0.tfrecord").write_bytes(b"record")
    said = found(tmp_path / "data", "span-{SPAN}/*")
    assert said["span"] == 11
    assert json.loads(said["input_config"])["splits"][0]["pattern"] == "span-11/*"


@pytest.mark.parametrize("pattern", ["span-{SPAN}/*/*", "span-{SPAN}/*"])
def test_a_window_is_found_too(data, pattern):
    image = data / "span-10" / "train" / "cat" / "a.png"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"image")
    said = found(data, pattern, range_config=WINDOW)
    rest = pattern.partition("/")[2]
    assert json.loads(said["input_config"])["splits"][0]["pattern"] == f"span-2/{rest}//span-10/{rest}"
    assert said["span"] == said["examples"]["custom:span"] == 10


def test_without_a_span_it_is_told(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(CompressorError, match="span"):
        found(tmp_path / "data", "span-{SPAN}/*/*")
