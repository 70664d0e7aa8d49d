from __future__ import annotations

from pathlib import Path

import pytest
from tfx.types import standard_artifacts

from components.deployed_model import DeployedModel


def model(folder: Path, content: str, classes: str = "cat\ndog\n") -> Path:
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "assets.extra" / "classes.txt").write_text(classes)
    (folder / "saved_model.pb").write_text(content)
    return folder


@pytest.fixture
def taken(tmp_path):
    """Runs the component and tells which model it took, and which version it says that is."""
    reference, output = standard_artifacts.Model(), standard_artifacts.Model()
    reference.uri, output.uri = str(tmp_path / "reference"), str(tmp_path / "output")
    model(tmp_path / "reference" / "Format-Serving", "reference")

    def take() -> tuple[str, str]:
        DeployedModel.test_call(None, reference, output, push_directory=str(tmp_path / "serving"))
        content = (tmp_path / "output" / "Format-Serving" / "saved_model.pb").read_text()
        return content, output.get_string_custom_property("deployed_version")

    return take


def test_reference_is_used_without_a_deployed_model(taken):
    assert taken() == ("reference", "")


def test_newest_deployed_model_is_used(tmp_path, taken):
    for version in ("9", "10"):
        model(tmp_path / "serving" / version, f"version {version}")
    assert taken() == ("version 10", "10")


@pytest.mark.parametrize("classes", ["dog\ncat\n", "horse\ncat\n", "dog\neel\ncat\n"])
def test_deployed_model_with_a_common_class_is_used(tmp_path, taken, classes):
    model(tmp_path / "serving" / "10", "version 10", classes)
    assert taken() == ("version 10", "10")


@pytest.mark.parametrize(("classes", "said"), [("eel\nhorse\n", "eel, horse"), ("", "unknown")])
def test_deployed_model_without_common_class_is_not_used(tmp_path, taken, caplog, classes, said):
    model(tmp_path / "serving" / "10", "version 10", classes)
    assert taken() == ("reference", "")
    assert f"it has {said}, the data has cat, dog; the reference model is the baseline" in caplog.text
