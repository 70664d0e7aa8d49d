"""Proxy settings: the environment's proxies are used, but never for this machine itself.

``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy`` are read as in Python's standard library. Many libraries
send ``http://127.0.0.1`` through a proxy unless ``no_proxy`` lists it, and the proxy cannot reach it.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import urllib.request
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from compressor_lib.support.redaction import redact

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Names of this machine."""


def is_loopback(url: str) -> bool:
    """Returns whether a URL's host is this machine."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def proxy_for(url: str) -> str | None:
    """Returns the proxy for a URL, or None if there is none."""
    parts = urlsplit(url)
    if is_loopback(url) or _is_excepted(parts.netloc.rpartition("@")[2], parts.hostname or ""):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def via(url: str) -> str:
    """Names the proxy for a URL in a message: " through the proxy ...". Empty if there is none."""
    proxy = proxy_for(url)
    return f" through the proxy {_shown(proxy)}" if proxy else ""


def proxy_hint(url: str) -> str:
    """Suggests how to bypass the proxy, as part of a sentence in a message."""
    return f"name {urlsplit(url).hostname} in no_proxy if it is reachable without a proxy"


def is_proxy_response(url: str, status: int, body: str) -> bool:
    """Returns whether an error response comes from a proxy, for hosts that respond in JSON.

    Args:
        url: The requested URL.
        status: Status of the response.
        body: Text of the response. For ``https://`` URLs, only the host can have sent it.
    """
    if status < 400 or urlsplit(url).scheme != "http" or proxy_for(url) is None:
        return False
    return status == 407 or not (body.lstrip().startswith("{") or body.startswith("RBAC: "))  # "RBAC: " is Istio's


def reason(error: BaseException) -> str:
    """Returns the innermost message of a client's error, in one line. Outer messages only name client objects."""
    while True:
        causes = (getattr(error, "reason", None), *reversed(error.args))
        inner = next((one for one in causes if isinstance(one, BaseException)), None)
        if inner is None:
            break
        error = inner
    said = next((one for one in reversed(error.args) if isinstance(one, str)), str(error))
    return redact(" ".join(said.split()).rpartition(">: ")[2])[:200]


def proxy_headers(url: str) -> dict[str, str]:
    """Returns the authorization header for a proxy with a user and password, for clients that do not set it."""
    parts = urlsplit(proxy_for(url) or "")
    if parts.username is None:
        return {}
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"proxy-authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}


def open_here(url: str, data: bytes | None = None, *, timeout: float) -> Any:
    """Opens a URL on this machine, like :func:`urllib.request.urlopen` but without a proxy."""
    return _DIRECT.open(url, data, timeout)


def exempt_loopback() -> None:
    """Adds this machine to ``no_proxy``, for libraries and processes that only read that variable."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if known.strip() == "*":
        return
    names = [name.strip() for name in known.split(",") if name.strip()]
    names += [name for name in LOOPBACK if name not in names]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(names)


def _is_excepted(netloc: str, host: str) -> bool:
    """Returns whether ``no_proxy`` lists a host, by name or by network, following the rules of ``requests``."""
    if urllib.request.proxy_bypass(netloc):
        return True
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        for name in urllib.request.getproxies().get("no", "").split(","):
            with suppress(ValueError):
                if address in ipaddress.ip_network(name.strip(), strict=False):
                    return True
    return False


def _shown(proxy: str) -> str:
    """Returns a proxy's URL without its credentials."""
    parts = urlsplit(proxy)
    return redact(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
