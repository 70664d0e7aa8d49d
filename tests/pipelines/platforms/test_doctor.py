from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import google.auth
import pytest
import yaml
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError
from kubeflow_api import KubeflowApi
from served import Served
from typer.testing import CliRunner
from vertex_api import VertexApi

from pipelines.cli import main as cli
from pipelines.execution.code_version import code_version
from pipelines.platforms import vertex as vertex_module
from pipelines.platforms.doctor import buckets_of
from pipelines.platforms.package_file import PackageFile
from pipelines.platforms.vertex import Vertex

GOLDEN = Path(__file__).parents[1] / "kubeflow" / "golden"
IMAGE = "registry/auto-compressor@sha256:0123"
PROJECT, REGION = "my-project", "europe-west4"
READ, WRITE = {"storage.objects.get", "storage.objects.list"}, {"storage.objects.create"}


class Handler(BaseHTTPRequestHandler):
    """Answers in JSON."""

    def send(self, status: int, said: object) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    def log_message(self, *_: object) -> None:
        pass


class Storage(Served):
    """A stand-in for Cloud Storage: buckets by name, each with what one may do there, or a status."""

    def __init__(self) -> None:
        self.buckets: dict[str, set[str] | int] = {"bucket": READ | WRITE}
        storage = self

        class Buckets(Handler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                *_, bucket, iam, test = unquote(url.path).split("/")
                assert (iam, test) == ("iam", "testPermissions")
                allowed = storage.buckets.get(bucket, 404)
                if isinstance(allowed, int):
                    self.send(allowed, {"error": {"code": allowed, "message": "no"}})
                else:
                    self.send(200, {"permissions": sorted(allowed & {*parse_qs(url.query)["permissions"]})})

        super().__init__(Buckets)


class Docker(Served):
    """A stand-in for Docker's daemon, which asks the registries: the status of each image that it is asked for."""

    def __init__(self) -> None:
        self.images: dict[str, int] = {}
        docker = self

        class Daemon(Handler):
            def do_GET(self) -> None:
                path = unquote(urlsplit(self.path).path)
                if path == "/version":
                    return self.send(200, {"ApiVersion": "1.45", "MinAPIVersion": "1.24"})
                image = path.partition("/distribution/")[2].removesuffix("/json")
                status = docker.images.get(image, 404)
                said = {"message": "no basic auth credentials"} if status != 200 else {"Descriptor": {}}
                return self.send(status, said)

        super().__init__(Daemon)


@pytest.fixture
def storage(monkeypatch) -> Iterator[Storage]:
    storage = Storage()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
    yield storage
    storage.close()


@pytest.fixture
def docker(monkeypatch) -> Iterator[Docker]:
    docker = Docker()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://{docker.host}")
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    yield docker
    docker.close()


class World:
    """A package, and all that it needs."""

    def __init__(self, folder: Path, target: str, docker: Docker, storage: Storage) -> None:
        self.docker, self.storage, self.target = docker, storage, target
        self.image = "example.org/team/auto-compressor@sha256:0123"
        docker.images[self.image] = 200
        golden = GOLDEN / ("vertex.json" if target == "vertex" else "kubeflow.yaml")
        self.package = folder / golden.name
        (compiled,) = yaml.safe_load_all(golden.read_text().replace(IMAGE, self.image))
        search = compiled.get("pipelineSpec", compiled)["root"]["dag"]["tasks"]["PruningSearch"]
        search["inputs"]["parameters"]["code_version"]["runtimeValue"]["constant"] = code_version()
        self.package.write_text(json.dumps(compiled))  # which is YAML, too
        self.options: list[str] = []

    def replace(self, before: str, after: str) -> None:
        assert before in self.package.read_text()
        self.package.write_text(self.package.read_text().replace(before, after))

    def use(self, image: str, status: int) -> None:
        """Has the package name another image, for which a registry answers with a status."""
        self.replace(self.image, image)
        self.image = image
        self.docker.images[image] = status

    def doctor(self, *arguments: str) -> tuple[int, list[str]]:
        given = ["doctor", str(self.package), "--target", self.target, *self.options, *arguments]
        result = CliRunner().invoke(cli.app, given)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout.splitlines()

    def line(self, name: str, *arguments: str, missing: bool = True) -> str:
        """The line that tells of a thing, all others being right."""
        status, lines = self.doctor(*arguments)
        (line,) = (line for line in lines if line[9:].startswith(name))
        assert all(other.startswith("ok       ") for other in lines if other != line)
        assert status == (2 if missing else 0)
        return line


@pytest.fixture
def kubeflow_api() -> Iterator[KubeflowApi]:
    api = KubeflowApi()
    yield api
    api.close()


@pytest.fixture
def vertex_api(monkeypatch) -> Iterator[VertexApi]:
    api = VertexApi(PROJECT, REGION)
    connected = partial(Vertex, endpoint=api.url, credentials=AnonymousCredentials())
    monkeypatch.setattr(vertex_module, "Vertex", connected)
    yield api
    api.close()


@pytest.fixture
def kubeflow(tmp_path, monkeypatch, docker, storage, kubeflow_api) -> World:
    for name in ("KFP_TOKEN", "KFP_COOKIES", "KFP_NAMESPACE", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    world = World(tmp_path, "kubeflow", docker, storage)
    world.options = ["--host", kubeflow_api.url]
    return world


@pytest.fixture
def vertex(tmp_path, docker, storage, vertex_api) -> World:
    world = World(tmp_path, "vertex", docker, storage)
    world.options = ["--project", PROJECT, "--region", REGION]
    return world


@pytest.fixture
def nobody(monkeypatch):
    """There are no credentials of Google Cloud."""

    def default(**_):
        raise DefaultCredentialsError("none")

    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setattr(google.auth, "default", default)


class TestAllIsThere:
    def test_on_kubeflow(self, kubeflow):
        assert kubeflow.doctor() == (0, [
            "ok       package: pipeline pictures, compiled for kubeflow, by this version",
            "ok       API: kubeflow responds and accepts your credentials",
            f"ok       image {kubeflow.image}: it exists",
            "ok       bucket bucket: you have objects.create, objects.get, objects.list; "
            "the nodes' account needs them too",
        ])  # fmt: skip

    def test_on_vertex(self, vertex):
        email = "nodes@my-project.iam.gserviceaccount.com"
        status, lines = vertex.doctor("--service-account", email)
        assert status == 0
        assert [line.split(":")[0] for line in lines] == [
            "ok       package", "ok       API", "ok       image example.org/team/auto-compressor@sha256",
            "ok       bucket bucket", f"ok       service account {email}",
        ]  # fmt: skip
        assert lines[-1].endswith("nodes run as it, so you need roles/iam.serviceAccountUser on it")


class TestPackage:
    def test_of_another_version(self, kubeflow):
        kubeflow.replace(code_version(), "0" * 16)
        line = kubeflow.line("package")
        assert line.startswith("MISSING  package: ")
        assert "was compiled by another version of auto-compressor: compile it again" in line
        assert kubeflow.line("package", "--any-version", missing=False).endswith("compiled for kubeflow")

    def test_of_another_target(self, kubeflow, vertex):
        kubeflow.package = vertex.package
        assert "is compiled for vertex: compile it for kubeflow, or" in kubeflow.line("package")

    def test_without_one_the_api_is_looked_at(self, kubeflow):
        kubeflow.package.write_text("a: 1")
        assert "is not a package of this project: create one with 'compressor compile'" in kubeflow.line("package")
        assert len(kubeflow.doctor()[1]) == 2


class TestApi:
    def test_a_host_that_is_not_there(self, kubeflow, kubeflow_api):
        kubeflow_api.close()
        assert "cannot be reached: check --host and the network" in kubeflow.line("API")

    def test_a_host_that_lets_nobody_in(self, kubeflow, kubeflow_api):
        kubeflow_api.token = "secret"
        assert "requires a valid token: renew the token in $KFP_TOKEN" in kubeflow.line("API")

    def test_a_namespace_that_is_anothers(self, kubeflow, kubeflow_api):
        kubeflow_api.answers_with = 403
        assert "refuses: you lack permission in this namespace (give --namespace)" in kubeflow.line("API")

    def test_an_option_that_is_missing(self, kubeflow, monkeypatch):
        monkeypatch.delenv("KFP_HOST", raising=False)
        kubeflow.options = []
        assert kubeflow.line("API") == "MISSING  API: --target kubeflow needs --host, the URL of its API."

    def test_a_project_that_does_not_allow_it(self, vertex, vertex_api):
        vertex_api.answers_with = [403]
        assert "MISSING  API: you lack permission in project 'my-project'" in vertex.line("API")

    def test_a_region_that_is_none(self, vertex):
        vertex.options[-1] = "europe"
        assert "region 'europe' is not a valid region: give one such as" in vertex.line("API")

    def test_vertex_wants_credentials(self, vertex, nobody, monkeypatch):
        monkeypatch.setattr(vertex_module, "Vertex", Vertex)
        status, lines = vertex.doctor()
        assert status == 2
        assert "log in with gcloud auth application-default login" in lines[1]
        assert lines[1].startswith("MISSING  API: ")


class TestImage:
    def test_one_that_is_not_pushed(self, kubeflow):
        kubeflow.docker.images.clear()
        assert kubeflow.line("image") == (
            f"MISSING  image {kubeflow.image}: the registry does not have it: run make image and docker push"
        )

    def test_one_by_its_tag(self, kubeflow):
        kubeflow.use("example.org/team/auto-compressor:1", 200)
        line = kubeflow.line("image", missing=False)
        assert line.startswith("ok       image ")
        assert line.endswith("its name, not its content, is part of cache keys: prefer its digest")

    def test_one_that_docker_has_no_log_in_for_may_be_there(self, kubeflow):
        kubeflow.docker.images[kubeflow.image] = 401
        line = kubeflow.line("image", missing=False)
        assert line.startswith("unknown  image ")
        assert line.endswith(": Docker could not look it up (no basic auth credentials)")

    def test_without_docker_it_is_unknown(self, kubeflow):
        kubeflow.docker.close()
        line = kubeflow.line("image", missing=False)
        assert line.startswith("unknown  image ")
        assert line.endswith(": there is no Docker on this machine to look it up")

    def test_each_one_is_looked_at_once(self, kubeflow):
        other = "example.org/team/other:1"
        kubeflow.package.write_text(kubeflow.package.read_text().replace(kubeflow.image, other, 1))
        lines = [line for line in kubeflow.doctor()[1] if " image " in line]
        assert [line.split()[0] for line in lines] == ["MISSING", "ok"]


class TestBuckets:
    def test_each_is_there_for_what_the_package_does_in_it(self, vertex):
        vertex.replace("gs://bucket/images", "gs://images/all")
        package = PackageFile.read(vertex.package)
        assert package.places == {
            "data_path": "gs://images/all", "push_directory": "gs://bucket/root/serving",
            "pipeline_root": "gs://bucket/root/pipeline_root",
        }  # fmt: skip
        assert buckets_of(package) == {
            "images": ["objects.get", "objects.list"], "bucket": ["objects.create", "objects.get", "objects.list"],
        }  # fmt: skip
        vertex.storage.buckets["images"] = READ
        assert vertex.doctor()[0] == 0

    @pytest.mark.parametrize(
        ("known", "reason"),
        [
            (404, "it does not exist: create it with gcloud storage buckets create gs://bucket"),
            (403, "you lack the permission objects.create, objects.get, objects.list: check the name, or ask"),
            (READ, "you lack the permission objects.create: check the name, or ask its owner to grant you"),
        ],
    )
    def test_one_that_is_missing_or_anothers(self, vertex, known, reason):
        vertex.storage.buckets["bucket"] = known
        assert vertex.line("bucket").startswith(f"MISSING  bucket bucket: {reason}")

    @pytest.mark.parametrize("bucket", ["", "My bucket", "-bucket"])
    def test_a_name_that_none_can_have(self, vertex, bucket):
        vertex.storage.buckets["My bucket"] = 400
        vertex.replace("gs://bucket/images", f"gs://{bucket}/images")
        assert vertex.line(f"bucket {bucket}:").endswith("or compile with another name")

    def test_a_store_that_fails_or_is_away(self, vertex, monkeypatch):
        vertex.storage.buckets["bucket"] = 503
        assert "unknown  bucket bucket: Cloud Storage responds with 503" in vertex.line("bucket", missing=False)
        vertex.storage.close()
        assert "unknown  bucket bucket: Cloud Storage cannot be reached (" in vertex.line("bucket", missing=False)

    def test_without_credentials_a_clusters_nodes_will_see(self, kubeflow, nobody):
        line = kubeflow.line("bucket", missing=False)
        assert line == "unknown  bucket bucket: checking it needs Google Cloud credentials"

    def test_other_stores_are_the_clusters(self, kubeflow):
        kubeflow.replace("gs://bucket/images", "/mnt/team/images")
        kubeflow.replace("gs://bucket/root/serving", "/mnt/team/serving")
        kubeflow.replace("gs://bucket/root/pipeline_root", "minio://bucket/root/pipeline_root")
        assert not any(" bucket " in line for line in kubeflow.doctor()[1])


class TestServiceAccount:
    @pytest.mark.parametrize("email", ["me@example.org", "nodes", "my-project.iam.gserviceaccount.com"])
    def test_what_is_none(self, vertex, email):
        line = vertex.line("service account", "--service-account", email)
        assert line.endswith("not the e-mail address of a service account: give NAME@PROJECT.iam.gserviceaccount.com")

    def test_the_projects_own_is_one(self, vertex):
        email = "123-compute@developer.gserviceaccount.com"
        assert vertex.line("service account", "--service-account", email, missing=False).startswith("ok ")
