"""The services that drivers and launchers use, at the names and ports that they expect."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from kubeflow_rig.kubernetes import KEYS, NAME, SECRET, Kubernetes
from kubeflow_rig.mlmd import Mlmd
from kubeflow_rig.object_store import ObjectStore
from kubeflow_rig.relay import Relay
from kubeflow_rig.task_service import TaskService

HOSTS = (
    "ml-pipeline.kubeflow", "ml-pipeline.kubeflow.svc.cluster.local",
    "metadata-grpc-service.kubeflow", "metadata-grpc-service.kubeflow.svc.cluster.local",
    "seaweedfs.kubeflow", "minio-service.kubeflow", NAME,
)  # fmt: skip


def own_address() -> str:
    """A loopback address that no other test process uses."""
    number = os.getpid()
    return f"127.{64 + (number >> 16) % 64}.{(number >> 8) % 256}.{number % 256}"


class Services:
    """All services of a cluster, on the process's own address.

    Args:
        folder: Folder for their files.
        tasks: Creates the cache at an address.

    Attributes:
        address: Their address.
        mlmd: The metadata store.
        tasks: The cache.
        kubernetes: The API of Kubernetes.
        store: The object store.
        hosts: File for ``/etc/hosts`` of pods, with the names of the services.
    """

    def __init__(self, folder: Path, tasks: Callable[[str], TaskService | Relay] = TaskService) -> None:
        self.address = address = own_address()
        self.mlmd = Mlmd(address, folder / "mlmd.sqlite")
        self.tasks = tasks(address)
        self.kubernetes = Kubernetes(address, folder)
        self.kubernetes.secrets[SECRET] = KEYS
        self.store = ObjectStore(address)
        self.hosts = folder / "hosts"
        self.hosts.write_text(f"127.0.0.1 localhost\n{address} {' '.join(HOSTS)}\n")

    def close(self) -> None:
        """Stops all services."""
        for service in (self.mlmd, self.tasks, self.kubernetes, self.store):
            service.close()
