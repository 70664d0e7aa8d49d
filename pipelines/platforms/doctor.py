"""The checks of ``compressor doctor`` for a package: whether the platform has what it needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from compressor_lib.errors import CompressorError
from compressor_lib.support.proxies import reason, via
from pipelines.platforms.base import Platform
from pipelines.platforms.package_file import PackageFile

_RIGHTS = {"read": ("objects.get", "objects.list"), "write": ("objects.get", "objects.list", "objects.create")}
_USES = {"data_path": "read", "push_directory": "write", "pipeline_root": "write"}
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9.-]*@[a-z0-9.-]+\.gserviceaccount\.com")
_CLOUD_STORAGE = "https://storage.googleapis.com"
_TIMEOUT = 30
"""Seconds to wait for a response."""


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: What was checked.
        ok: Whether it is available; None if this machine cannot check it.
        detail: Details, or what to do.
    """

    name: str
    ok: bool | None
    detail: str

    def __str__(self) -> str:
        """Formats the result as one line."""
        mark = {True: "ok", False: "MISSING", None: "unknown"}[self.ok]
        return f"{mark:8} {self.name}: {self.detail}"


@dataclass(frozen=True)
class Needs:
    """A package and its platform.

    Attributes:
        package: File of the compiled package.
        target: ``"kubeflow"`` or ``"vertex"``.
        connect: Connects to the platform.
        code_version: Hash of the installed code; None to accept a package of any version.
        project: ID of the Google Cloud project, if known.
        service_account: Account that nodes run as; None for the platform's default.
    """

    package: Path
    target: str
    connect: Callable[[], Platform]
    code_version: str | None = None
    project: str | None = None
    service_account: str | None = None


def examine(needs: Needs) -> Iterator[Check]:
    """Makes one check after the other. If the package cannot be read, checks that depend on it are skipped."""
    try:
        package = PackageFile.read(needs.package)
    except CompressorError as error:
        package = None
        yield Check("package", False, str(error))
    if package is not None:
        yield check_package(package, needs)
    yield check_api(needs)
    if package is not None:
        for image in package.images:
            yield check_image(image)
        for bucket, rights in buckets_of(package).items():
            yield check_bucket(bucket, rights, needs)
    if needs.target == "vertex" and needs.service_account:
        yield check_service_account(needs.service_account)


def check_package(package: PackageFile, needs: Needs) -> Check:
    """Checks that the package is compiled for the target, by the installed code."""
    try:
        package.check(needs.target, needs.code_version)
    except CompressorError as error:
        return Check("package", False, str(error))
    version = ", by this version" if needs.code_version else ""
    return Check("package", True, f"pipeline {package.name}, compiled for {needs.target}{version}")


def check_api(needs: Needs) -> Check:
    """Checks that the platform responds and the user may list the schedules."""
    try:
        needs.connect().schedules()
    except CompressorError as error:
        return Check("API", False, str(error))
    return Check("API", True, f"{needs.target} responds and accepts your credentials")


def check_image(image: str) -> Check:
    """Checks with this machine's Docker, and its log-ins, that the registry has an image.

    This does not check that the image contains the project.
    """
    import docker
    import requests
    from docker.errors import APIError, DockerException, NotFound

    name = f"image {image}"
    try:
        docker.from_env(timeout=_TIMEOUT).images.get_registry_data(image)
    except NotFound:
        return Check(name, False, "the registry does not have it: run make image and docker push")
    except APIError as error:
        return Check(name, None, f"Docker could not look it up ({error.explanation})")
    except (DockerException, requests.RequestException):
        return Check(name, None, "there is no Docker on this machine to look it up")
    by_name = "" if "@" in image else "; its name, not its content, is part of cache keys: prefer its digest"
    return Check(name, True, f"it exists{by_name}")


def buckets_of(package: PackageFile) -> dict[str, list[str]]:
    """The Cloud Storage buckets that a package names, with the permissions that nodes need."""
    found: dict[str, set[str]] = {}
    for name, place in package.places.items():
        if place.startswith("gs://"):
            bucket = place.removeprefix("gs://").partition("/")[0]
            found.setdefault(bucket, set()).update(_RIGHTS[_USES[name]])
    return {bucket: sorted(rights) for bucket, rights in found.items()}


def check_bucket(bucket: str, rights: list[str], needs: Needs) -> Check:
    """Checks that the user, who may differ from the nodes' account, can access a bucket.

    Args:
        bucket: Name of the bucket.
        rights: Required permissions, such as ``["objects.get"]``.
        needs: The package and its platform.
    """
    import requests
    from google.api_core.exceptions import BadRequest, Forbidden, GoogleAPICallError, NotFound, Unauthorized
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import storage

    name = f"bucket {bucket}"
    try:
        found = storage.Client(project=needs.project).bucket(bucket)
        # Without retries, which would take two minutes.
        allowed = found.test_iam_permissions([f"storage.{right}" for right in rights], timeout=_TIMEOUT, retry=None)
    except (Forbidden, Unauthorized):
        allowed = []
    except GoogleAuthError:
        log_in = "" if needs.target == "kubeflow" else ": run gcloud auth application-default login"
        return Check(name, None, f"checking it needs Google Cloud credentials{log_in}")
    except (NotFound, BadRequest, ValueError, IndexError):  # all but the first are for invalid bucket names
        way_out = f"create it with gcloud storage buckets create gs://{bucket}, or compile with another name"
        return Check(name, False, f"it does not exist: {way_out}")
    except GoogleAPICallError as error:
        return Check(name, None, f"Cloud Storage responds with {error.code}: try again later")
    except requests.RequestException as error:
        return Check(name, None, f"Cloud Storage cannot be reached{via(_CLOUD_STORAGE)} ({reason(error)})")
    refused = [right for right in rights if f"storage.{right}" not in allowed]
    if refused:
        way_out = "check the name, or ask its owner to grant you and the nodes' account roles/storage.objectAdmin"
        return Check(name, False, f"you lack the permission {', '.join(refused)}: {way_out}")
    return Check(name, True, f"you have {', '.join(rights)}; the nodes' account needs them too")


def check_service_account(email: str) -> Check:
    """Checks that an e-mail address has the form of a service account's; only the platform knows if it exists."""
    name = f"service account {email}"
    if _ACCOUNT.fullmatch(email) is None:
        return Check(
            name, False, "not the e-mail address of a service account: give NAME@PROJECT.iam.gserviceaccount.com"
        )
    return Check(name, True, "its form is valid; nodes run as it, so you need roles/iam.serviceAccountUser on it")
