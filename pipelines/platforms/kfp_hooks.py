"""What the platform Kubeflow takes of ``kfp`` beyond its public API: the one place to adapt when a release moves it.

The client of kfp looks for a proxy nowhere by itself, renews no token, asks for half a minute whether the API is there,
and waits for an answer without end; it offers no settings for these. So :func:`logged_in` makes it with

- ``_load_config`` wrapped, which gives the configuration of the generated clients, and
- ``get_kfp_healthz`` in its own words, by ``_healthz_api``, and
- the ``request`` of the generated client behind ``_run_api``, which is that of all its parts, with a limit of time.

It also gives the URL of ``_get_url_prefix``, and asks by that generated client what kfp has no method for. The path of
a service account's token is that of ``kfp.client``'s ``KF_PIPELINES_SA_TOKEN_ENV`` and ``KF_PIPELINES_SA_TOKEN_PATH``.

kfp is imported when something is called.
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
"""The release of kfp that this was written against; the names are the same since 2.5."""

PATIENCE = 30.0
"""Seconds to wait for an answer."""

RENEWED_AFTER = 45 * 60.0
"""Seconds until a log-in is renewed: tokens of Google's hold for an hour."""


def logged_in(host: str, namespace: str | None, *, token: str | None, cookies: str | None, trusted: str | None) -> Any:
    """Makes the client of kfp.

    Args:
        host: URL of the API.
        namespace: The user's; None: what the client has stored, or none.
        token: What the API wants to see; None: what the client finds by itself.
        cookies: Likewise.
        trusted: File with the certificates of the authorities to trust.

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
            """Also asked by the constructor: once, where the original asks for half a minute."""
            if self._health is None:
                ask = self._healthz_api.healthz_service_get_healthz_with_http_info
                self._health, _, headers = ask(_request_timeout=(PATIENCE, PATIENCE))
                self.speaks_json = "json" in headers.get("Content-Type", "")
            return self._health

        @property
        def url(self) -> str:
            """Of the UI, without a slash at its end."""
            return str(self._get_url_prefix()).rstrip("/")

        def ask(self, path: str) -> Any:
            """Gets what the client has no method for, as JSON, by its path below the host."""
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
    _limit(client._run_api.api_client)  # which is that of all its parts
    return client


def _renewed(log_in: Callable[[], str]) -> Callable[[Any], None]:
    """Logs in anew before a token runs out, for a wait may take days; a token that was given stays the same."""
    since = time.monotonic()

    def renew(config: Any) -> None:
        nonlocal since
        if time.monotonic() - since > RENEWED_AFTER:
            config.api_key["authorization"] = log_in()
            since = time.monotonic()

    return renew


def _limit(api_client: Any) -> None:
    """Lets no request of a client wait longer than :data:`PATIENCE` for an answer."""
    ask = api_client.request

    def request(*given: Any, **named: Any) -> Any:
        # A pair, to connect and to read: the client takes no single number that is not whole for a limit.
        return ask(*given, **{**named, "_request_timeout": named.get("_request_timeout") or (PATIENCE, PATIENCE)})

    api_client.request = request
