"""Kubeflow's own API server in one release, with an empty database and the services that it needs."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from kubeflow_rig import access, mariadb, object_store, task_service
from kubeflow_rig.access import AGENTS_TOKEN
from kubeflow_rig.kubernetes import KEYS, NAME, NAMESPACE
from kubeflow_rig.kubernetes import PORT as KUBERNETES_PORT
from kubeflow_rig.mariadb import MariaDb
from kubeflow_rig.relay import Relay
from kubeflow_rig.release import API_SERVER, Release
from kubeflow_rig.services import Services
from kubeflow_rig.waiting import until

Json = dict[str, Any]

PORT = 8888
USER_HEADER = "kubeflow-userid"
_STORE = "seaweedfs.kubeflow"


class ApiServer:
    """The server.

    Args:
        release: Release of Kubeflow Pipelines.
        database: Database of the server.
        folder: Folder for its files.
        multi_user: Whether everything belongs to a namespace.

    Attributes:
        release: Release of Kubeflow Pipelines.
        services: Services for the server, drivers and launchers; the cache is the server's own.
        url: URL of the server.
        namespace: Namespace of its user; empty if it is not multi-user.
    """

    def __init__(self, release: Release, database: MariaDb, folder: Path, *, multi_user: bool = False) -> None:
        self.release = release
        calls = _free_port()
        self.services = Services(folder, partial(Relay, port=task_service.PORT, behind=calls))
        self.url = f"http://{self.services.address}:{PORT}"
        self.namespace = access.NAMESPACE if multi_user else ""
        self._log = folder / "apiserver.log"
        command = [
            release.folder / API_SERVER, f"--config={_configuration(folder, database)}", "-logtostderr=true",
            f"--sampleconfig={folder / 'samples.json'}", f"--rpcPortFlag=:{calls}",
            f"--httpPortFlag={self.services.address}:{PORT}",
        ]  # fmt: skip
        environment = {
            **os.environ, "KUBERNETES_SERVICE_HOST": NAME, "KUBERNETES_SERVICE_PORT": str(KUBERNETES_PORT),
            "POD_NAMESPACE": NAMESPACE, "MULTIUSER": str(multi_user).lower(), "KUBEFLOW_USERID_HEADER": USER_HEADER,
            "KUBEFLOW_USERID_PREFIX": "", "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_HOST": "localhost",
            "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_PORT": "8889", "NO_PROXY": "*", "no_proxy": "*",
        }  # fmt: skip
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["unshare", "-m", "--propagation", "private", "bash", "-c", self._mounted(), "api-server", *command],
                env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        until(self._is_healthy, self._process, self._log)

    def _mounted(self) -> str:
        """A script that mounts the cluster's host names and a service account, and then runs the server."""
        account = "/run/secrets/kubernetes.io/serviceaccount"
        hosts, files = (shlex.quote(str(one)) for one in (self.services.hosts, self.services.kubernetes.account))
        return (
            f"set -e; mount --bind {hosts} /etc/hosts; mount -t tmpfs tmpfs /run; mkdir -p {account}; "
            f'mount --bind {files} {account}; exec setpriv --pdeathsig KILL "$@"'
        )

    def _is_healthy(self) -> bool:
        try:
            self.ask("GET", "/apis/v2beta1/healthz")
        except OSError:
            return False
        return True

    def ask(self, method: str, path: str, body: Any = None, *, user: str | None = None) -> Any:
        """Sends a request.

        Args:
            method: HTTP method, such as ``GET``.
            path: Path, such as ``/apis/v2beta1/runs``.
            body: Body, which is sent as JSON.
            user: Name of the user; None for the persistence agent, by its token.
        """
        identity = {"Authorization": f"Bearer {AGENTS_TOKEN}"} if user is None else {USER_HEADER: user}
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode() if body is not None else None,
            {"Content-Type": "application/json", **identity}, method=method,
        )  # fmt: skip
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as response:
            return json.loads(response.read() or "null")

    @property
    def workflows(self) -> dict[str, Json]:
        """The Workflows of the runs in Kubernetes, by run id."""
        made = self.services.kubernetes.resources.all("workflows")
        return {one["metadata"]["labels"]["pipeline/runid"]: one for one in made}

    def report(self, run_id: str, status: Json) -> None:
        """Sets the status of a run's Workflow, and reports it like the persistence agent.

        Args:
            run_id: Id of the run.
            status: Status in the form of Argo's controller.
        """
        about = self.workflows[run_id]["metadata"]
        path = f"/apis/argoproj.io/v1alpha1/namespaces/{about['namespace']}/workflows/{about['name']}"
        changed = self.services.kubernetes.resources.answer("PATCH", path, {"status": status})
        self.ask("POST", "/apis/v2beta1/workflows", json.dumps(changed))

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Suspends the server, so that it does not respond."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stops the server and its services. The server ignores milder signals than SIGKILL."""
        self._process.kill()
        self._process.wait()
        self.services.close()


def why_none(release: Release) -> str:
    """Returns why a release's server cannot be run; empty if it can."""
    if not (release.folder / API_SERVER).is_file():
        return f"{release.folder / API_SERVER} is not there (docs/kubeflow.md)"
    if mariadb.program() is None:
        return f"there is no {mariadb.PROGRAM} on PATH or in ${mariadb.VARIABLE} (docs/kubeflow.md)"
    return ""


def _configuration(folder: Path, database: MariaDb) -> Path:
    """Writes the server's configuration files, and returns their folder."""
    (folder / "samples.json").write_text('{"pipelines": []}')
    mysql = {
        "DBName": f"mlpipeline_{uuid.uuid4().hex}", "GroupConcatMaxLen": "4194304", "Host": database.address,
        "Port": str(mariadb.PORT), "User": "root", "Password": "",
    }  # fmt: skip
    store = {
        "AccessKey": KEYS["accesskey"], "SecretAccessKey": KEYS["secretkey"], "BucketName": object_store.BUCKET,
        "PipelinePath": "pipelines", "Host": _STORE, "Port": str(object_store.PORT), "Region": "us-east-1",
        "Secure": "false",
    }  # fmt: skip
    config = {
        "DBConfig": {"MySQLConfig": mysql, "ConMaxLifeTime": "120s"}, "ObjectStoreConfig": store,
        "DBDriverName": "mysql", "ARCHIVE_CONFIG_LOG_FILE_NAME": "main.log",
        "ARCHIVE_CONFIG_LOG_PATH_PREFIX": "/artifacts", "InitConnectionTimeout": "1m",
        "DEFAULTPIPELINERUNNERSERVICEACCOUNT": "pipeline-runner", "CacheEnabled": "true",
        "CRON_SCHEDULE_TIMEZONE": "UTC", "ClientQPS": "1000", "ClientBurst": "1000",
    }  # fmt: skip
    place = folder / "config"
    place.mkdir()
    (place / "config.json").write_text(json.dumps(config))
    return place


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])
