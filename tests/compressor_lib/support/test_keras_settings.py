from __future__ import annotations

import json
import os
import subprocess
import sys

import keras
import pytest

import compressor_lib
from compressor_lib.errors import CompressorError
from compressor_lib.search.hypermodels import HyperCompressor
from compressor_lib.support.keras_settings import NEEDED, check_keras

WRONG = [
    ({"KERAS_BACKEND": "torch"}, {}, "Keras' backend is set to 'torch' by the environment variable KERAS_BACKEND"),
    ({"KERAS_BACKEND": "jax"}, {"backend": "tensorflow"}, "Keras' backend is set to 'jax' by the environment variable"),
    ({}, {"backend": "jax"}, "Keras' backend is set to 'jax' by '.*keras.json'"),
    (
        {},
        {"image_data_format": "channels_first"},
        "Keras' image_data_format is set to 'channels_first' by '.*keras.json'",
    ),
    ({}, {"floatx": "float64"}, "Keras' floatx is set to 'float64' by '.*keras.json'"),
]
RIGHT = [
    ({}, {}),
    ({"KERAS_BACKEND": ""}, {}),
    ({"KERAS_BACKEND": "tensorflow"}, {"backend": "jax"}),
    ({}, {**NEEDED, "epsilon": 1e-7}),
    ({}, ["no", "settings"]),
]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Sets Keras up, before it is imported."""

    def setting(environment: dict[str, str], content: object) -> None:
        for name in ("KERAS_BACKEND", "KERAS_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".keras").mkdir(exist_ok=True)
        (tmp_path / ".keras" / "keras.json").write_text(json.dumps(content))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delitem(sys.modules, "keras")

    return setting


@pytest.mark.parametrize(("environment", "content", "message"), WRONG)
def test_unsupported_settings_are_rejected(settings, environment, content, message):
    settings(environment, content)
    with pytest.raises(CompressorError, match=f"^{message}.*, but auto-compressor needs '.*': change or remove"):
        check_keras()


@pytest.mark.parametrize(("environment", "content"), RIGHT)
def test_supported_settings_are_accepted(settings, environment, content):
    settings(environment, content)
    check_keras()


def test_damaged_file_is_ignored_as_in_keras(settings, tmp_path):
    settings({}, {})
    (tmp_path / ".keras" / "keras.json").write_text('{"backend": "jax"')
    check_keras()


def test_keras_home_is_respected(settings, tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    settings({"KERAS_HOME": str(tmp_path)}, {})
    with pytest.raises(CompressorError, match=rf"by '{tmp_path}/keras\.json'"):
        check_keras()


def test_settings_changed_by_the_program_are_checked_too(residual):
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(CompressorError, match="image_data_format is set to 'channels_first' by this program"):
            HyperCompressor(1000, 3, backbone=residual)
    finally:
        keras.config.set_image_data_format("channels_last")
    HyperCompressor(1000, 3, backbone=residual)


@pytest.mark.parametrize(("environment", "content", "message"), WRONG[1:4])
def test_library_and_command_reject_them_at_once(tmp_path, environment, content, message):
    (tmp_path / "keras.json").write_text(json.dumps(content))
    env = {**os.environ, "KERAS_HOME": str(tmp_path), **environment}
    words = message.partition(" by ")[0]
    library = subprocess.run(
        [sys.executable, "-c", "import compressor_lib.search.hypermodels"], env=env, capture_output=True, text=True
    )
    assert library.stderr.splitlines()[-1].startswith(f"compressor_lib.errors.CompressorError: {words}")
    command = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "validate", "--config", "x"],
        env=env,
        capture_output=True,
        text=True,
    )
    assert (command.returncode, command.stdout) == (2, "")
    assert command.stderr.startswith(f"error: {words}")
    assert len(command.stderr.splitlines()) == 1


def test_package_has_a_version():
    assert compressor_lib.__version__
