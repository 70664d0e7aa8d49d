"""The source runs nothing that it reads: what no module may do, and that each of it would be found."""

from __future__ import annotations

import ast
import pathlib
import subprocess
import sysconfig

import pytest
import yaml

from compressor_lib.errors import CompressorError
from pipelines.config.config import load_config

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = ("benchmarks", "components", "compressor_lib", "docs", "pipelines")
UNPICKLERS = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
REFUSED = {
    "__import__",
    "enable_unsafe_deserialization",
    "import_class_by_path",
    "import_func_from_source",
    "import_module",
    "run_path",
    "unpack_archive",
    "unsafe_load",
}
REQUIRED = {"load": ("allow_pickle", False), "load_model": ("safe_mode", True)}
OF_NUMPY = {"np", "numpy"}
OF_KERAS = {"models", "saving"}


def faults(source: str) -> list[str]:
    """What a module does that none may, beside what ruff finds (see pyproject.toml)."""
    return [fault for node in ast.walk(ast.parse(source)) for fault in _faults_of(node)]


def _faults_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        names = {alias.name for alias in node.names} & (REFUSED | {"load_model"})
        return [f"imports {name}" for name in ({name.split(".")[0] for name in modules} & UNPICKLERS) | names]
    if not isinstance(node, ast.Call):
        return []
    given = {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
    called = ast.unparse(node.func)
    owner, _, name = called.rpartition(".")
    wrong = [f"calls {called}"] if name in REFUSED else []
    is_reader = (name == "load" and owner in OF_NUMPY) or (name == "load_model" and owner.split(".")[-1] in OF_KERAS)
    for word, value in REQUIRED.values():
        is_given = any(keyword.arg == word for keyword in node.keywords)
        if (is_given and given.get(word) is not value) or (
            is_reader and REQUIRED[name] == (word, value) and not is_given
        ):
            wrong.append(f"calls {called} without {word}={value}")
    return wrong


def test_no_module_runs_what_it_reads():
    found = {
        f"{path.relative_to(ROOT)}: {fault}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        for fault in faults(path.read_text(encoding="utf-8"))
    }
    assert found == set()


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import dill as d",
        "from joblib import load",
        "def late():\n    import shelve",
        "np.load(path)",
        "numpy.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=given)",
        "np.save(path, x, allow_pickle=True)",
        "keras.models.load_model(path)",
        "keras.saving.load_model(path, safe_mode=False)",
        "from keras.models import load_model",
        "keras.config.enable_unsafe_deserialization()",
        "importlib.import_module(name)",
        "from importlib import import_module",
        "__import__(name)",
        "shutil.unpack_archive(path)",
    ],
)
def test_each_fault_is_found(source):
    assert faults(source)


@pytest.mark.parametrize(
    ("code", "source"),
    [
        ("S102", "exec(text)"),
        ("S202", "tarfile.open(path).extractall(folder)"),
        ("S301", "pickle.loads(data)"),
        ("S302", "marshal.loads(data)"),
        ("S307", "eval(text)"),
        ("S506", "yaml.load(text, yaml.Loader)"),
        ("S602", "subprocess.run(command, shell=True)"),
        ("S605", "os.system(command)"),
    ],
)
def test_the_linter_finds_the_rest(code, source):
    command = [pathlib.Path(sysconfig.get_path("scripts"), "ruff"), "check", "--output-format=concise"]
    source = f"import marshal\nimport os\nimport pickle\nimport subprocess\nimport tarfile\n\nimport yaml\n\n{source}\n"
    done = subprocess.run(
        [*command, "--stdin-filename", "pipelines/bait.py", "-"],
        cwd=ROOT, input=source, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f" {code} " in done.stdout


@pytest.mark.survives("a configuration that would run code")
@pytest.mark.parametrize(
    "value",
    [
        '!!python/object/apply:os.mkdir ["{trace}"]',
        '!!python/object/new:os.mkdir ["{trace}"]',
        "!!python/name:os.mkdir",
        "!!python/module:antigravity",
    ],
)
def test_a_configuration_runs_no_code(tmp_path, value):
    trace = tmp_path / "ran"
    value = value.format(trace=trace)
    config = tmp_path / "config.yaml"
    config.write_text(f"name: {value}\n")
    with pytest.raises(CompressorError, match="could not determine a constructor"):
        load_config(config)
    config.write_text("name: harmless\n")
    with pytest.raises(CompressorError):
        load_config(config, [f"name={value}"])
    assert not trace.exists()


BAIT = "bait.Runner"
BEAM_ARGUMENTS = [
    [f"--runner={BAIT}"],
    ["--runner", BAIT],
    [f"--runner {BAIT}"],
    [f"--run={BAIT}"],
    [f"--ru={BAIT}"],
    [f"-runner={BAIT}"],
    ["--job_name=x", f"--runner={BAIT}"],
    ["--job_name", f"--runner={BAIT}"],
    ["--runner=DirectRunner"],
    ["--job_endpoint=embed"],
    ["--job_endpoint", "embed"],
    ["--artifact_endpoint=embed"],
    ["--environment_type=PROCESS"],
    ["--environment_type=SUBPROCESS"],
    ["--environment_ty=PROCESS"],
    ['--environment_config={"command": "touch ran"}'],
    ["--environment_options=process_command=touch ran"],
    ["--setup_file=./setup.py"],
    ["--setup=./setup.py"],
    ["--requirements_file=requirements.txt"],
    ["--extra_package=x.tar.gz"],
    ["--extra_packages=x.tar.gz"],
    ["--sdk_location=x.tar.gz"],
    ["--beam_plugin=bait"],
    ["--beam_plugins=bait"],
    ["--files_to_stage=x"],
    ["--pickle_library=dill"],
    ["--save_main_session"],
    ["--beam_services={}"],
    ["--flink_job_server_jar=x.jar"],
    ["--spark_job_server_jar=x.jar"],
    ["--job_server_java_launcher=./x"],
    ["--job_server_jvm_properties=x"],
    ["--prism_location=./x"],
    ["--on_success_matcher=x"],
    ["--experiments=jar_packages=x"],
    ["--executor_class_path=bait.Executor"],
    ["--flagfile=x"],
]


@pytest.mark.survives("a flag of Beam that would run code")
@pytest.mark.parametrize("arguments", BEAM_ARGUMENTS, ids=" ".join)
def test_no_flag_of_beam_runs_code(tmp_path, arguments):
    config = tmp_path / "config.yaml"
    smallest = {"name": "x", "data": {"source": "digits"}, "backbone": {"name": "MobileNet", "input_size": 32}}
    config.write_text(yaml.safe_dump(smallest | {"beam_pipeline_args": arguments}))
    with pytest.raises(CompressorError, match=r"beam_pipeline_args\[\d\] is") as refused:
        load_config(config)
    assert (
        "--name=value" in str(refused.value)
        or "write host:port" in str(refused.value)
        or ("Allowed, by their full names: job_name, " in str(refused.value))
    )


@pytest.mark.survives("a command instead of Beam's workers")
@pytest.mark.parametrize("runner", ["{runner: flink, master: 'a:1'", "{runner: spark, master: 'spark://a:1'"])
@pytest.mark.parametrize(
    "environment",
    [
        """process, environment_config: '{"command": "touch ran"}'""",
        "process, environment_config: /bin/sh",
        "subprocess, environment_config: touch ran",
        "docker, environment_config: --privileged",
        "docker, environment_config: image; touch ran",
        "external, environment_config: $(touch ran)",
        "bait.Environment",
    ],
)
def test_no_environment_of_beam_names_a_command(tmp_path, runner, environment):
    config = tmp_path / "config.yaml"
    config.write_text("name: x\ndata: {source: digits}\nbackbone: {name: MobileNet, input_size: 32}\n")
    with pytest.raises(CompressorError, match=r"beam(\.environment)? (has environment_config|is)"):
        load_config(config, [f"beam={runner}, environment: {environment}}}"])
