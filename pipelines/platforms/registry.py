"""What a registry knows of an image, by version 2 of its HTTP API."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import LocationParseError

from compressor_lib.errors import CompressorError
from compressor_lib.support.proxies import proxies_for, reason, via

_OCI, _DOCKER = "application/vnd.oci.image", "application/vnd.docker.distribution.manifest"
_MANIFESTS = ", ".join(
    [f"{_OCI}.manifest.v1+json", f"{_OCI}.index.v1+json", f"{_DOCKER}.v2+json", f"{_DOCKER}.list.v2+json"]
)
_REFERENCE = re.compile(r"(?P<name>[\w.:/-]+?)(?::(?P<tag>\w[\w.-]*))?(?:@(?P<digest>[^@]+))?")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_HUB, _LOCAL = "registry-1.docker.io", re.compile(r"localhost|127\.[\d.]+|::1")
_GOOGLE = re.compile(r"(?:[\w.-]+\.)?gcr\.io|[\w.-]+\.pkg\.dev")
_TIMEOUT = 30.0
"""Seconds to wait for an answer."""

Auth = Callable[[requests.PreparedRequest], requests.PreparedRequest]


class NotLookedAt(Exception):
    """Why a registry could not be asked for an image."""


@dataclass(frozen=True)
class Image:
    """A reference to an image.

    Attributes:
        registry: Host and port that are asked.
        name: Of the repository in it.
        reference: A digest or a tag.
    """

    registry: str
    name: str
    reference: str

    @classmethod
    def parse(cls, text: str) -> Image:
        """Reads a reference as docker does.

        Raises:
            CompressorError: If it has another form.

        Example:
            >>> Image.parse("python:3.11")
            Image(registry='registry-1.docker.io', name='library/python', reference='3.11')
        """
        parts = _REFERENCE.fullmatch(text)
        if parts is None:
            raise CompressorError(
                f"{text!r} names no image: compile the package again, with --image REGISTRY/NAME:TAG."
            )
        registry, slash, name = parts["name"].partition("/")
        if not slash or not (set(registry) & set(".:") or registry == "localhost"):
            registry, name = "docker.io", parts["name"] if slash else f"library/{parts['name']}"
        if registry in ("docker.io", "index.docker.io"):
            registry = _HUB
        return cls(registry, name, parts["digest"] or parts["tag"] or "latest")

    @property
    def by_digest(self) -> bool:
        """Whether the reference always means the same image."""
        return ":" in self.reference


class Registry:
    """Asks for one image, anonymously; Google's registries with Application Default Credentials."""

    def __init__(self, image: Image) -> None:
        """Asks nothing yet."""
        host = urlsplit(f"//{image.registry}").hostname or ""
        self._image, self._is_google = image, _GOOGLE.fullmatch(host) is not None
        scheme = "http" if _LOCAL.fullmatch(host) else "https"
        self._url = f"{scheme}://{image.registry}/v2/{image.name}"
        self._auth: Auth = _bearer(None)

    def has_image(self) -> bool:
        """Whether the image is there.

        Raises:
            NotLookedAt: If the registry cannot be reached, or does not say.
        """
        answer = self._ask("HEAD", f"manifests/{self._image.reference}")
        if answer.status_code in (401, 403):
            raise NotLookedAt("the registry wants a log-in, or does not have it")
        if not answer.ok and answer.status_code != 404:
            raise NotLookedAt(f"the registry answers {answer.status_code}: try again later")
        return answer.ok

    def labels(self) -> dict[str, str] | None:
        """The image's labels, of the one for Linux on amd64 if there are several; None: the registry does not tell."""
        try:
            manifest = self._json(f"manifests/{self._image.reference}")
            if "manifests" in manifest:
                several = manifest["manifests"]
                fitting = [one for one in several if one.get("platform", {}).get("architecture") == "amd64"]
                manifest = self._json(f"manifests/{(fitting or several)[0]['digest']}")
            config = self._json(f"blobs/{manifest['config']['digest']}")["config"]
            return dict(config.get("Labels") or {})
        except (NotLookedAt, ValueError, LookupError, TypeError, AttributeError):
            return None

    def _json(self, path: str) -> Any:
        answer = self._ask("GET", path)
        if not answer.ok:
            raise NotLookedAt(f"the registry answers {answer.status_code}")
        return answer.json()

    def _ask(self, method: str, path: str) -> requests.Response:
        """Asks, and once more with a token if the registry wants one."""
        answer = self._request(method, f"{self._url}/{path}")
        if answer.status_code == 401 and (token := self._token(answer.headers.get("WWW-Authenticate", ""))):
            self._auth = _bearer(token)
            answer = self._request(method, f"{self._url}/{path}")
        return answer

    def _token(self, challenge: str) -> str | None:
        if self._is_google and (token := _google_token()):
            return token
        kind, _, rest = challenge.partition(" ")
        asked = dict(_CHALLENGE.findall(rest))
        if kind.lower() != "bearer" or "realm" not in asked:
            return None
        asked.setdefault("scope", f"repository:{self._image.name}:pull")
        try:
            answer = self._request("GET", asked.pop("realm"), params=asked, auth=_bearer(None))
            said = answer.json() if answer.ok else {}
            return said.get("token") or said.get("access_token")
        except (ValueError, AttributeError):
            return None

    def _request(self, method: str, url: str, **given: Any) -> requests.Response:
        given = {"auth": self._auth, "headers": {"Accept": f"{_MANIFESTS}, */*;q=0.1"}, **given}
        try:
            return requests.request(
                method, url, timeout=_TIMEOUT, allow_redirects=True, proxies=proxies_for(url), **given
            )
        except (requests.RequestException, LocationParseError) as error:  # the latter for hosts such as a..b
            through = via(url)
            why = f"{through} ({reason(error)})" if through else " from here"
            raise NotLookedAt(f"{urlsplit(url).netloc} cannot be reached{why}") from None


def _bearer(token: str | None) -> Auth:
    """Sends a token or nothing at all, not even what a .netrc has."""

    def signed(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    return signed


def _google_token() -> str | None:
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request

    try:
        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        credentials.refresh(Request())
    except GoogleAuthError:
        return None
    return str(credentials.token)
