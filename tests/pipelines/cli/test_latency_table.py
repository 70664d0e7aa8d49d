from __future__ import annotations

import pytest
from typer.testing import CliRunner

from compressor_lib.deployment.operators import operators
from compressor_lib.search import device_operators
from pipelines.cli import main as cli

CONFIG = """
name: tiny
output: {folder}/out
data: {{source: folder, path: {folder}/images}}
backbone: {{name: MobileNetV2, input_size: 32, alpha: 0.35, weights: none}}
search: {{connections: [block_2_add->head]}}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG.format(folder=tmp_path))
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(10):
            (tmp_path / "images" / name / f"{number}.jpg").touch()
    return tmp_path


def latency_table(folder, *arguments):
    return CliRunner().invoke(cli.app, ["latency-table", *map(str, arguments), "--config", str(folder / "config.yaml")])


@pytest.mark.slow
def test_the_files_of_a_table_are_written_and_timed(folder, monkeypatch):
    monkeypatch.setattr(device_operators, "_SECONDS", 0.01)
    out, table = folder / "operators", folder / "here.csv"
    result = latency_table(folder, out, "--data", folder / "images", "--measure", table)
    assert result.exit_code == 0, result.output
    names = {path.stem for path in out.iterdir()}
    assert {"reference", "softmax-2-2-float32"} < names
    assert set(operators((out / "reference.tflite").read_bytes())) < names
    assert {line.split(",")[0] for line in table.read_text().splitlines()} == {"operator", *names}
    assert f"{len(names)} files to time on the device" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["operators", "--data", "gs://bucket/images"], "give --classes N"),
        ([".", "--classes", "3"], "folder '.' is not empty: name a new one."),
    ],
)
def test_what_is_missing_is_asked_for(folder, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    result = latency_table(folder, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
