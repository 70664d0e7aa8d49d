"""What a package needs, and whether it is there: the checks of ``compressor doctor``."""

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
"""Seconds to wait for an answer."""


@dataclass(frozen=True)
class Check:
    """What was looked at.

    Attributes:
        name: The thing.
        ok: Whether it is there; None: this cannot be looked up from here.
        detail: More of it, or the way out.
    """

    name: str
    ok: bool | None
    detail: str

    def __str__(self) -> str:
        """One line."""
        mark = {True: "ok", False: "MISSING", None: "unknown"}[self.ok]
        return f"{mark:8} {self.name}: {self.detail}"


@dataclass(frozen=True)
class Needs:
    """What is to run, and where.

    Attributes:
        package: The compiled package's file.
        target: ``"kubeflow"`` or ``"vertex"``.
        connect: Reaches the platform.
        code_version: The hash of the code that is installed; None: that of the package does not matter.
        project: The Google Cloud project's id, if known.
        service_account: Whom nodes act for; None: the platform's default.
    """

    package: Path
    target: str
    connect: Callable[[], Platform]
    code_version: str | None = None
    project: str | None = None
    service_account: str | None = None


def examine(needs: Needs) -> Iterator[Check]:
    """Looks at one thing after the other; a package that cannot be read names no more of them."""
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
    """Whether it is compiled for the target, by the code that is installed."""
    try:
        package.check(needs.target, needs.code_version)
    except CompressorError as error:
        return Check("package", False, str(error))
    version = ", by this version" if needs.code_version else ""
    return Check("package", True, f"pipeline {package.name}, compiled for {needs.target}{version}")


def check_api(needs: Needs) -> Check:
    """Whether the platform answers, and lets one see the schedules."""
    try:
        needs.connect().schedules()
    except CompressorError as error:
        return Check("API", False, str(error))
    return Check("API", True, f"{needs.target} answers and lets you in")


def check_image(image: str) -> Check:
    """Whether the registry has an image, as Docker on this machine sees it, with the log-ins it keeps.

    Only that there is one is checked, not that the project is in it.
    """
    import docker
    import requests
    from docker.errors import APIError, DockerException, NotFound

    name = f"image {image}"
    try:
        docker.from_env(timeout=_TIMEOUT).images.get_registry_data(image)
    except NotFound:
        return Check(name, False, "the registry does not have it: push it by make image and docker push")
    except APIError as error:
        return Check(name, None, f"Docker could not look it up ({error.explanation}); the nodes will see")
    except (DockerException, requests.RequestException):
        return Check(name, None, "there is no Docker here to look it up with; the nodes will see")
    by_name = "" if "@" in image else "; caches go by its name, not by what is in it: better give its digest"
    return Check(name, True, f"it is there{by_name}")


def buckets_of(package: PackageFile) -> dict[str, list[str]]:
    """The buckets of Cloud Storage that a package names, and what nodes need to do there."""
    found: dict[str, set[str]] = {}
    for name, place in package.places.items():
        if place.startswith("gs://"):
            bucket = place.removeprefix("gs://").partition("/")[0]
            found.setdefault(bucket, set()).update(_RIGHTS[_USES[name]])
    return {bucket: sorted(rights) for bucket, rights in found.items()}


def check_bucket(bucket: str, rights: list[str], needs: Needs) -> Check:
    """Whether a bucket is there for the caller, who need not be whom the nodes act for.

    Args:
        bucket: Its name.
        rights: What must be allowed, as ``["objects.get"]``.
        needs: Whose they are.
    """
    import requests
    from google.api_core.exceptions import BadRequest, Forbidden, GoogleAPICallError, NotFound, Unauthorized
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import storage

    name = f"bucket {bucket}"
    try:
        found = storage.Client(project=needs.project).bucket(bucket)
        # Without retries, which would go on for two minutes.
        allowed = found.test_iam_permissions([f"storage.{right}" for right in rights], timeout=_TIMEOUT, retry=None)
    except (Forbidden, Unauthorized):
        allowed = []
    except GoogleAuthError:
        later = "looked at by the nodes" if needs.target == "kubeflow" else "gcloud auth application-default login"
        return Check(name, None, f"not without credentials of Google Cloud: {later}")
    except (NotFound, BadRequest, ValueError, IndexError):  # all but the first for names that no bucket can have
        way_out = f"make it by gcloud storage buckets create gs://{bucket}, or compile with another name"
        return Check(name, False, f"there is none: {way_out}")
    except GoogleAPICallError as error:
        return Check(name, None, f"Cloud Storage answers {error.code}: try again later")
    except requests.RequestException as error:
        return Check(name, None, f"Cloud Storage cannot be asked{via(_CLOUD_STORAGE)} ({reason(error)})")
    refused = [right for right in rights if f"storage.{right}" not in allowed]
    if refused:
        way_out = "check the name, or let its owner give you and whom the nodes act for roles/storage.objectAdmin"
        return Check(name, False, f"you have not the right to {', '.join(refused)}: {way_out}")
    return Check(name, True, f"you may {', '.join(rights)}, and so must whom the nodes act for")


def check_service_account(email: str) -> Check:
    """Whether an e-mail can be a service account's; whether there is one, only the platform knows."""
    name = f"service account {email}"
    if _ACCOUNT.fullmatch(email) is None:
        return Check(name, False, "no e-mail of a service account: give NAME@PROJECT.iam.gserviceaccount.com")
    return Check(name, True, "its form is right; nodes act for it, so you need roles/iam.serviceAccountUser on it")
