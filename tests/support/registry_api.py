"""A stand-in for a registry of images, as far as version 2 of the HTTP API is used to read."""

from __future__ import annotations

import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from served import Served

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"


class RegistryApi(Served):
    """The server, and what it holds.

    Attributes:
        manifests: Media type and bytes, by ``name/tag`` and by ``name/digest``.
        blobs: Bytes, by ``name/digest``.
        token: What it takes; None: it lets everyone in.
        is_public: Whether everyone gets the token.
        answers_with: Status of every answer, to see errors; None: all is well.
        asked: Method and path of each request.
    """

    def __init__(self) -> None:
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.token: str | None = None
        self.is_public = True
        self.answers_with: int | None = None
        self.asked: list[tuple[str, str]] = []
        super().__init__(_handler(self))

    def push(self, name: str, tag: str, labels: dict[str, str] | None) -> str:
        """Takes an image; returns its digest."""
        config = json.dumps({"config": {"Labels": labels}}).encode()
        self.blobs[f"{name}/{_digest(config)}"] = config
        manifest = {"mediaType": MANIFEST, "config": {"digest": _digest(config)}, "layers": []}
        return self._put(name, tag, MANIFEST, manifest)

    def push_index(self, name: str, tag: str, digests: dict[str, str]) -> str:
        """Takes the digests of one image by architectures; returns that of them all."""
        several = [{"digest": digest, "platform": {"architecture": known}} for known, digest in digests.items()]
        return self._put(name, tag, INDEX, {"mediaType": INDEX, "manifests": several})

    def _put(self, name: str, tag: str, kind: str, manifest: Any) -> str:
        content = json.dumps(manifest).encode()
        digest = _digest(content)
        self.manifests[f"{name}/{tag}"] = self.manifests[f"{name}/{digest}"] = kind, content
        return digest


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _handler(registry: RegistryApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            url = urlsplit(self.path)
            registry.asked.append((self.command, url.path))
            if registry.answers_with:
                self._send(registry.answers_with)
            elif url.path == "/token":
                self._give_token({key: values[0] for key, values in parse_qs(url.query).items()})
            elif registry.token and self.headers.get("Authorization") != f"Bearer {registry.token}":
                name = url.path.removeprefix("/v2/").rpartition("/")[0].rpartition("/")[0]
                said = f'realm="http://{registry.host}/token",service="fake",scope="repository:{name}:pull"'
                self._send(401, challenge=f"Bearer {said}")
            else:
                self._give(url.path)

        do_GET = do_HEAD = _answer

        def _give_token(self, query: dict[str, str]) -> None:
            assert self.headers.get("Authorization") is None
            assert query["service"] == "fake"
            assert re.fullmatch(r"repository:[\w/-]+:pull", query["scope"])
            if registry.is_public:
                self._send(200, "application/json", json.dumps({"token": registry.token}).encode())
            else:
                self._send(401)

        def _give(self, path: str) -> None:
            name, kind, reference = path.removeprefix("/v2/").rsplit("/", 2)
            key = f"{name}/{reference}"
            if kind == "blobs" and key in registry.blobs:
                self._send(200, "application/octet-stream", registry.blobs[key])
            elif kind == "manifests" and key in registry.manifests:
                media_type, content = registry.manifests[key]
                if media_type in self.headers["Accept"]:
                    self._send(200, media_type, content)
                else:
                    self._send(404)
            else:
                self._send(404)

        def _send(
            self, status: int, kind: str = "text/plain", content: bytes = b"", challenge: str | None = None
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            if challenge:
                self.send_header("WWW-Authenticate", challenge)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
