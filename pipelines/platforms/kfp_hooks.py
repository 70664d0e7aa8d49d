"""All uses of ``kfp`` beyond its public API: the one place to adapt when a new release changes it.

The client of kfp finds no proxies, does not renew tokens, polls the API's health for half a minute, and waits for
responses without limit, and has no settings for any of these. Therefore :func:`logged_in` creates it with

- ``_load_config`` wrapped, which returns the configuration of the generated clients,
- ``get_kfp_healthz`` replaced, using ``_healthz_api``, and
- a time limit on the ``request`` of the generated client behind ``_run_api``, which all its parts share.

It also exposes the URL from ``_get_url_prefix``, and uses the generated client for requests that kfp has no method for.
The path of a service account's token is read from ``kfp.client``'s ``KF_PIPELINES_SA_TOKEN_ENV`` and
``KF_PIPELINES_SA_TOKEN_PATH``.

kfp is imported only when a function is called.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compressor_lib.support.proxies import proxy_for, proxy_headers

WRITTEN_AGAINST = "2.13.0"
"""The release of kfp that this module was written for; the names have been the same since 2.5."""

PATIENCE = 30.0
"""Seconds to wait for a response."""

RENEWED_AFTER = 45 * 60.0
"""Seconds until a log-in is renewed, because Google's tokens are valid for an hour."""


def logged_in(host: str, namespace: str | None, *, token: str | None, cookies: str | None, trusted: str | None) -> Any:
    """Creates the client of kfp.

    Args:
        host: URL of the API.
        namespace: The user's namespace; None for the one that the client has stored, if any.
        token: Token for the API; None for the one that the client finds itself, if any.
        cookies: Cookies for the API; None for no cookies.
        trusted: File with the certificates of trusted authorities.

    Returns:
        A ``kfp.Client`` with ``speaks_json``, ``url`` and ``ask``.
    """
    import kfp
    import urllib3
    from kfp import client as settings
    from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

    class Client(kfp.Client):
        _health: Any = None
        speaks_json = True

        def _load_config(self, *given: Any, **named: Any) -> Any:
            log_in = super()._load_config
            config = log_in(*given, **named)
            if "authorization" in config.api_key and config.refresh_api_key_hook is None:
                config.refresh_api_key_hook = _renewed(lambda: log_in(*given, **named).api_key["authorization"])
            config.proxy_headers = proxy_headers(host) or None
            config.retries = urllib3.Retry(connect=1, read=0, other=0, redirect=5)
            return config

        def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
            """Requests the API's health once. The constructor calls this, and the original polls for half a minute."""
            if self._health is None:
                ask = self._healthz_api.healthz_service_get_healthz_with_http_info
                self._health, _, headers = ask(_request_timeout=(PATIENCE, PATIENCE))
                self.speaks_json = "json" in headers.get("Content-Type", "")
            return self._health

        @property
        def url(self) -> str:
            """URL of the UI, without a trailing slash."""
            return str(self._get_url_prefix()).rstrip("/")

        def ask(self, path: str) -> Any:
            """Requests a path below the host as JSON, for requests that the client has no method for."""
            return self._run_api.api_client.call_api(
                path, "GET", response_type="object", auth_settings=["Bearer"], _return_http_data_only=True
            )

    projected = os.environ.get(settings.KF_PIPELINES_SA_TOKEN_ENV) or settings.KF_PIPELINES_SA_TOKEN_PATH
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = Client(
            host=host,
            existing_token=token,
            cookies=cookies,
            credentials=ServiceAccountTokenVolumeCredentials(projected) if Path(projected).is_file() else None,
            ssl_ca_cert=trusted,
            proxy=proxy_for(host),
            **({"namespace": namespace} if namespace else {}),
        )
    _limit(client._run_api.api_client)  # shared by all its parts
    return client


def _renewed(log_in: Callable[[], str]) -> Callable[[Any], None]:
    """Logs in again before a token expires, because a wait may take days; a given token stays the same."""
    since = time.monotonic()

    def renew(config: Any) -> None:
        nonlocal since
        if time.monotonic() - since > RENEWED_AFTER:
            config.api_key["authorization"] = log_in()
            since = time.monotonic()

    return renew


def _limit(api_client: Any) -> None:
    """Limits the time that requests of a client wait for a response to :data:`PATIENCE`."""
    ask = api_client.request

    def request(*given: Any, **named: Any) -> Any:
        # A pair (connect, read), because the client ignores a single limit that is not an integer.
        return ask(*given, **{**named, "_request_timeout": named.get("_request_timeout") or (PATIENCE, PATIENCE)})

    api_client.request = request
