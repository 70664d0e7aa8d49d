"""Clusters of Kubeflow's own binaries, which ``$KFP_BIN`` names: one for each release, for a module's tests."""

from __future__ import annotations

import json
from _thread import interrupt_main
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest
from kubeflow_rig.release import Release, releases, why_none
from kubeflow_rig.waiting import PATIENCE
from kubeflow_runs import GOLDEN, forget_kubeflow

if TYPE_CHECKING:
    from kubeflow_rig.api_server import ApiServer
    from kubeflow_rig.cluster import Cluster
    from kubeflow_rig.mariadb import MariaDb
    from typer.testing import Result

    from pipelines.platforms.base import Progress


CONFIG = """
name: on-kubeflow
output: minio://mlpipeline/v2/artifacts
data: {source: folder, path: /team/images, span_pattern: "span-{SPAN}"}
backbone: {name: MobileNetV2, input_size: 48, weights: none}
gate: {min_accuracy: 0.0, max_drop: 1.0}
push: {directory: /team/serving}
volumes: [{claim: team-pictures, path: /team}]
resources:
  retrain: {cpu: 2, memory_gb: 4, accelerator: nvidia.com/gpu, node_selector: {pool: gpu}}
retries: 2
"""

ONE, MANY = "one-user", "many-users"
_NUMBERS = count(1)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test of a cluster runs on every release; it is skipped, with the reason, where there is none."""
    if "release" not in metafunc.fixturenames:
        return
    if reason := why_none():
        found = [pytest.param(None, id="no-release", marks=pytest.mark.skip(reason=reason))]
    else:
        found = [pytest.param(release, id=release.folder.name) for release in releases()]
    metafunc.parametrize("release", found, scope="module")


@pytest.fixture(scope="module")
def cluster(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One with nothing run yet."""
    from kubeflow_rig.cluster import Cluster  # takes its time to load

    one = Cluster(release, Path(tmp_path_factory.mktemp("cluster")))
    yield one
    one.close()


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Compiles a package whose data and pushed models are on a claim: ``compiled("retries=0", ...)``."""
    from pipelines.config.config import load_config
    from pipelines.kubeflow.package import compile_package

    file = tmp_path_factory.mktemp("config") / "config.yaml"
    file.write_text(CONFIG)

    def compile_with(*overrides: str) -> str:
        config = load_config(file, overrides)
        return compile_package(config, "kubeflow", image="registry.example.org/image@sha256:0", code_version="0")

    return compile_with


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    """What API servers keep what they know in."""
    from kubeflow_rig import mariadb
    from kubeflow_rig.services import own_address

    one = mariadb.MariaDb(mariadb.program(), own_address(), Path(tmp_path_factory.mktemp("database")))
    yield one
    one.close()


@pytest.fixture(scope="module", params=[ONE, MANY])
def server(
    release: Release, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    """An API server that has been asked nothing yet."""
    from kubeflow_rig.api_server import ApiServer, why_none

    if reason := why_none(release):
        pytest.skip(reason)
    database = request.getfixturevalue("database")
    folder = Path(tmp_path_factory.mktemp("api-server"))
    one = ApiServer(release, database, folder, multi_user=request.param == MANY)
    yield one
    one.close()


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What the client of kfp has stored; who the user is, until something else is written there."""
    from kubeflow_rig.access import USER
    from kubeflow_rig.api_server import USER_HEADER

    header = {"client_authentication_header_name": USER_HEADER, "client_authentication_header_value": USER}
    path = forget_kubeflow(monkeypatch, tmp_path)
    path.write_text(json.dumps({"namespace": "", **header}))
    return path


@pytest.fixture
def compressor(server: ApiServer, stored: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, which looks at runs often: ``compressor("submit", package)``."""
    from typer.testing import CliRunner

    from pipelines.cli import main as cli
    from pipelines.cli import platforms

    monkeypatch.setattr(platforms, "POLL", 0.3)
    if server.namespace:
        monkeypatch.setenv("KFP_NAMESPACE", server.namespace)

    def call(*arguments: object) -> Result:
        given = [*map(str, arguments), "--target", "kubeflow", "--host", server.url]
        result = CliRunner().invoke(cli.app, given)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """One of a pipeline that no other test has; the file has the pipeline's name."""
    path = tmp_path / f"pictures-{next(_NUMBERS)}.yaml"
    text = GOLDEN.read_text().replace("gs://bucket", "minio://mlpipeline")
    assert "\n  name: pictures\n" in text
    path.write_text(text.replace("\n  name: pictures\n", f"\n  name: {path.stem}\n"))
    return path


@pytest.fixture
def meanwhile(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[str], object]], AbstractContextManager[None]]:
    """Does something to the run that is submitted next: ``with meanwhile(lambda run_id: ...): compressor(...)``.

    It begins when the command looks at the run for the first time. Before that, the server may not have stored the run
    of a Workflow that it has made, and would forget what is reported.
    """
    from pipelines.platforms.kubeflow import Kubeflow

    looked, look = Event(), Kubeflow.progress

    def noted(kubeflow: Kubeflow, run_id: str) -> Progress:
        looked.set()
        return look(kubeflow, run_id)

    monkeypatch.setattr(Kubeflow, "progress", noted)

    @contextmanager
    def beside(act: Callable[[str], object]) -> Iterator[None]:
        known = set(server.workflows)
        looked.clear()

        def watch() -> None:
            looked.wait(PATIENCE)
            (run_id,) = set(server.workflows) - known
            try:
                act(run_id)
            except BaseException:
                interrupt_main()  # the run would never end
                raise

        with ThreadPoolExecutor(1) as pool:
            acted = pool.submit(watch)
            try:
                yield
            finally:
                acted.result()

    return beside
