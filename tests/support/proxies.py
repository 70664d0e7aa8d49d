"""Stand-ins for proxies: one that forwards, one that refuses, and one that never responds."""

from __future__ import annotations

import http.client
import socket
import urllib.request
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from served import Served

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Proxy(Served):
    """Forwards every request to one server, whatever host it names, or refuses all.

    Attributes:
        asked: The requests so far, such as ``"GET http://host/path"``.
        status: Status with which it refuses; None to forward.
        wants: The header Proxy-Authorization that a request must have; None for none.
    """

    def __init__(self, behind: str = "", status: int | None = None) -> None:
        self.asked: list[str] = []
        self.status, self.wants, self._behind = status, None, behind
        super().__init__(_handler(self))

    def relayed(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        """Returns the response of the server behind the proxy."""
        connection = http.client.HTTPConnection(urlsplit(self._behind).netloc, timeout=10)
        parts = urlsplit(url)
        connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers)
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read()


class Silent:
    """Accepts connections, and never responds."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        """Stops accepting connections."""
        self._socket.close()


def set_proxy(monkeypatch, url: str, **others: str) -> None:
    """Sets the proxy variables in the environment to one proxy and nothing else."""
    for name in VARIABLES:
        for spelled in (name, name.upper()):
            monkeypatch.setenv(spelled, "")  # so that it is restored, whatever the test sets
            monkeypatch.delenv(spelled)
    monkeypatch.setattr(urllib.request, "_opener", None)  # it keeps the proxies of its first use
    for name, value in {"http_proxy": url, "https_proxy": url, **others}.items():
        monkeypatch.setenv(name, value)


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            proxy.asked.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if proxy.wants and self.headers.get("Proxy-Authorization") != proxy.wants:
                self.send(407, "text/html", b"<html>Who are you?</html>")
            elif proxy.status:
                self.send(proxy.status, "text/html", b"<html>Blocked by policy</html>")
            else:
                self.send(*proxy.relayed(self.command, self.path, dict(self.headers), body))

        do_GET = do_POST = do_DELETE = do_HEAD = do_CONNECT = respond

        def send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
