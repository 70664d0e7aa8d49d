"""Pods like those of Kubernetes: their own root, fresh volumes, an unprivileged user, and none of the host's files."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeflow_rig.kubernetes import NAME, NAMESPACE, PORT, Kubernetes
from kubeflow_rig.release import Release

if TYPE_CHECKING:  # slow to import
    from kubeflow_rig.services import Services

PROJECT = Path(__file__).parents[3]
USER = 1000
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_BINARIES, _IMAGE = "/kfp-bin", "/image"
# The METADATA variables are from the ConfigMap metadata-grpc-configmap; up to release 2.14, from the service itself.
_ENVIRONMENT = {
    "HOME": "/home/user", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": "1", "CUDA_VISIBLE_DEVICES": "",
    "PYTHONPATH": str(PROJECT), "KUBERNETES_SERVICE_HOST": NAME, "KUBERNETES_SERVICE_PORT": str(PORT),
    "METADATA_GRPC_SERVICE_HOST": "metadata-grpc-service.kubeflow", "METADATA_GRPC_SERVICE_PORT": "8080",
}  # fmt: skip


class Refused(Exception):
    """Kubernetes refuses a pod."""


@dataclass
class Pod:
    """A pod that has run.

    Attributes:
        node: Its place in the Workflow, such as ``root.retrain-driver`` and ``root.retrain.executor``.
        attempt: Number of earlier attempts.
        spec: Its spec.
        folder: Folder with its files: ``/tmp`` as ``tmp``, and its emptyDirs in ``volumes``.
        status: Exit status of its last container.
        seconds: Its duration.
    """

    node: str
    attempt: int
    spec: dict[str, Any]
    folder: Path
    status: int = 0
    seconds: float = 0.0

    @property
    def log(self) -> str:
        """The output of its containers."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def main(self) -> dict[str, Any]:
        """Its main container."""
        return next(one for one in self.spec["containers"] if one["name"] == "main")


@dataclass
class Pods:
    """Runs pods of one release.

    Attributes:
        release: Release whose driver and launcher are mounted in containers.
        services: Services that they use.
        folder: Folder for files of pods and claims.
        environment: Further environment of each container, for that of the image.
        image: Folder with programs that come before the project's in the image; None for no others.
    """

    release: Release
    services: Services
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    image: Path | None = None
    _numbers: Iterator[int] = field(default_factory=count)

    def claim(self, name: str) -> Path:
        """The folder of a PersistentVolumeClaim, which is created writable for everyone if it does not exist."""
        folder = self.folder / "claims" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(0o777)
        return folder

    def run(self, spec: dict[str, Any], node: str, attempt: int) -> Pod:
        """Runs a pod to its end.

        Raises:
            Refused: If Kubernetes refuses its spec.
        """
        check(spec)
        folder = self.folder / "pods" / f"{next(self._numbers):03}-{node}-{attempt}"
        folder.mkdir(parents=True)
        (folder / "pod.json").write_text(json.dumps(spec, indent=1))
        pod = Pod(node, attempt, spec, folder)
        started = time.monotonic()
        for container in (*spec.get("initContainers", ()), pod.main):
            pod.status = self._container(pod, container)
            if pod.status:
                break
        pod.seconds = time.monotonic() - started
        shutil.rmtree(folder / "volumes" / "kfp-launcher", ignore_errors=True)  # 90 MB
        return pod

    def _container(self, pod: Pod, container: dict[str, Any]) -> int:
        environment = self._environment(pod, container)
        command = [expanded(word, environment) for word in (*container["command"], *container.get("args", ()))]
        user = container.get("securityContext", {}).get("runAsUser", USER)
        exports = [f"{name}={value}" for name, value in environment.items()]
        script = "\n".join(
            [
                *self._mounts(pod, container),
                f"exec chroot $R setpriv --reuid {user} --regid {user} --clear-groups env -i "
                f'-C {container.get("workingDir", "/")} {shlex.join(exports)} "$@"',
            ]
        )
        with (pod.folder / "log").open("ab") as log:
            return subprocess.run(
                ["unshare", "-m", "--propagation", "private", "bash", "-c", script, "pod", *command],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=False,
            ).returncode  # fmt: skip

    def _environment(self, pod: Pod, container: dict[str, Any]) -> dict[str, str]:
        path = (_BINARIES, _IMAGE, str(Path(sys.executable).parent), "/usr/bin", "/bin")
        environment = {"PATH": ":".join(path), "ATTEMPT": str(pod.attempt), **_ENVIRONMENT, **self.environment}
        fields = {"name": pod.folder.name, "uid": f"{pod.folder.name}-uid", "namespace": NAMESPACE}
        for one in container.get("env", ()):
            source = one.get("valueFrom", {})
            if "fieldRef" in source:
                environment[one["name"]] = fields.get(source["fieldRef"]["fieldPath"].removeprefix("metadata."), "")
            elif "secretKeyRef" in source:
                secret = source["secretKeyRef"]
                environment[one["name"]] = _secret(self.services.kubernetes, secret["name"])[secret["key"]]
            elif not source:
                environment[one["name"]] = expanded(one.get("value", ""), environment)
        return environment

    def _mounts(self, pod: Pod, container: dict[str, Any]) -> list[str]:
        """Shell commands that set up a container's root in ``$R``, with private mounts."""
        root, tmp = pod.folder / "root", pod.folder / "tmp"
        root.mkdir(exist_ok=True)
        tmp.mkdir(exist_ok=True)
        tmp.chmod(0o1777)

        def bound(source: Path | str, target: str, *flags: str) -> str:
            options = f"; mount -o remount,bind,{','.join(flags)} $R{target}" if flags else ""
            return f"mkdir -p $R{target}; mount --bind {shlex.quote(str(source))} $R{target}{options}"

        lines = ["set -e", f"R={shlex.quote(str(root))}", "mount -t tmpfs -o mode=755 tmpfs $R"]
        for name in ("usr", "etc", "dev", "proc", "sys"):
            lines.append(f"mkdir $R/{name}; mount --rbind /{name} $R/{name}")
        lines += [
            f"cp -a /{name} $R/{name}" for name in ("bin", "sbin", "lib", "lib64") if Path("/", name).is_symlink()
        ]
        lines += [
            f"mount --bind {shlex.quote(str(self.services.hosts))} $R/etc/hosts",
            "mkdir -p $R/home/user $R/run $R/var; chmod 777 $R/home/user",
            "ln -s ../run $R/var/run; ln -s /tmp $R/var/tmp",
            bound(self.services.kubernetes.account, "/run/secrets/kubernetes.io/serviceaccount"),
            bound(self.release.folder, _BINARIES),
            bound(tmp, "/tmp"),
        ]
        for source in dict.fromkeys((sys.base_prefix, sys.prefix, str(PROJECT))):
            if not source.startswith("/usr/"):
                lines.append(bound(source, source, "ro"))
        if self.image:
            lines.append(bound(self.image, _IMAGE))
        volumes = {one["name"]: one for one in pod.spec.get("volumes", ())}
        for mount in container.get("volumeMounts", ()):
            volume = volumes[mount["name"]]
            if "persistentVolumeClaim" in volume:
                source = self.claim(volume["persistentVolumeClaim"]["claimName"])
            else:
                source = pod.folder / "volumes" / mount["name"]
                source.mkdir(parents=True, exist_ok=True)
                source.chmod(0o777)
            lines.append(bound(source, mount["mountPath"]))
        return lines


def _secret(kubernetes: Kubernetes, name: str) -> dict[str, str]:
    if name not in kubernetes.secrets:
        raise Refused(f'secret "{name}" not found')
    return kubernetes.secrets[name]


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """Expands ``$(NAME)`` and ``$$`` in a word of a command or the environment like Kubernetes."""

    def one(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else environment.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", one, text)


def check(spec: dict[str, Any]) -> None:
    """Checks volumes and mounts like Kubernetes' API (``pkg/apis/core/validation``).

    Raises:
        Refused: If they are invalid.
    """
    names = [volume["name"] for volume in spec.get("volumes", ())]
    for volume in spec.get("volumes", ()):
        name = volume["name"]
        if not LABEL.fullmatch(name):
            raise Refused(f"spec.volumes: Invalid value: {name!r}: a lowercase RFC 1123 label must consist of lower "
                          "case alphanumeric characters or '-', at most 63")  # fmt: skip
        if names.count(name) > 1:
            raise Refused(f"spec.volumes: Duplicate value: {name!r}")
        if len(sources := sorted(volume.keys() - {"name"})) > 1:
            raise Refused(f"spec.volumes: Forbidden: {name!r}: may not specify more than 1 volume type: {sources}")
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        paths = [mount["mountPath"] for mount in container.get("volumeMounts", ())]
        for mount in container.get("volumeMounts", ()):
            if mount["name"] not in names:
                raise Refused(f"volumeMounts: Not found: {mount['name']!r}")
            if paths.count(mount["mountPath"]) > 1:
                raise Refused(f"volumeMounts.mountPath: {mount['mountPath']!r}: must be unique")
