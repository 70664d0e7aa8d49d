"""Access to Kubeflow Pipelines: the ``kfp`` client, logged in and with explained errors."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from compressor_lib.errors import CompressorError
from compressor_lib.support.proxies import is_proxy_response, proxy_hint, reason, via
from pipelines.platforms.base import GoneError
from pipelines.platforms.kfp_hooks import logged_in

TOKEN, COOKIES = "KFP_TOKEN", "KFP_COOKIES"
"""Environment variables with credentials for a cluster; the client supports further ways to log in."""
CERTIFICATES = "SSL_CERT_FILE"
"""OpenSSL's environment variable for the certificates of trusted authorities."""

_INTERNAL = 13
"""gRPC's code for an internal error."""


class KubeflowClient:
    """Kubeflow Pipelines' API, as one user in one namespace.

    Attributes:
        api: The client of ``kfp``.
        namespace: The user's namespace; empty if the cluster has none.
    """

    def __init__(self, host: str, namespace: str | None) -> None:
        """Logs in, and checks that the API responds.

        Args:
            host: URL of the API, or of the UI, which forwards to it.
            namespace: The user's namespace; None for the one that the client has stored, if any.

        Raises:
            CompressorError: If the API cannot be reached, refuses the log-in, or needs a namespace.
        """
        self._host, self.namespace = host.rstrip("/"), namespace or ""
        _check_environment(host)
        with self.explained_errors(hide=False):  # the log-in may prompt the user
            self.api = logged_in(
                self._host,
                namespace,
                token=os.environ.get(TOKEN),
                cookies=os.environ.get(COOKIES),
                trusted=os.environ.get(CERTIFICATES),
            )
            health = self.api.get_kfp_healthz()
        if not self.api.speaks_json:
            raise CompressorError(
                f"{self._host} responds with a web page, perhaps to log in: give the URL of the KFP API, and a token "
                f"in ${TOKEN} or cookies in ${COOKIES}."
            )
        if not health.multi_user:
            self.namespace = ""
            return
        self.namespace = self.namespace or self.api.get_user_namespace()
        if not self.namespace:
            raise CompressorError(f"{self._host} is a multi-user cluster: give your namespace with --namespace.")

    def ask(self, path: str) -> Any:
        """Requests a path as JSON, for requests that the client has no method for.

        Args:
            path: Path below the host, such as ``/apis/v1beta1/runs/1``.
        """
        return self.api.ask(path)

    def link(self, run_id: str) -> str:
        """URL of the page of a run."""
        return f"{self.api.url}/#/runs/details/{run_id}"

    @contextmanager
    def explained_errors(self, what: str = "", *, hide: bool = True) -> Iterator[None]:
        """Explains errors of the API in one message.

        Args:
            what: The subject of the request, for the message.
            hide: Whether to hide what the client prints; otherwise it goes to the standard error.
        """
        import kfp_server_api
        import requests
        import urllib3
        from google.auth.exceptions import GoogleAuthError

        try:
            with redirect_stdout(io.StringIO() if hide else sys.stderr):
                yield
        except kfp_server_api.ApiException as error:
            if error.status == 404:
                known = f"{self._host} does not know {what or 'this API'}"
                raise GoneError(f"{known}: check --host, which must be Kubeflow Pipelines 2.") from error
            raise CompressorError(self._explained(error.status, str(error.body or error.reason), what)) from error
        except urllib3.exceptions.LocationValueError:  # for hosts such as a..b
            raise CompressorError(f"host {self._host!r} is not a URL: check --host.") from None
        except urllib3.exceptions.HTTPError as error:
            raise CompressorError(self._unreachable(error)) from error
        except (GoogleAuthError, requests.RequestException) as error:
            raise CompressorError(
                f"the Google log-in that {self._host} requires failed: renew it with gcloud auth application-default "
                "login."
            ) from error
        except OSError as error:
            raise CompressorError(f"{what or self._host} cannot be read: {error}.") from error

    def _unreachable(self, error: Exception) -> str:
        why = reason(error)
        if "CERTIFICATE_VERIFY_FAILED" in why:
            return (
                f"{self._host} has a certificate that is not trusted: set ${CERTIFICATES} to a file with the "
                "certificate of its authority."
            )
        through = via(self._host)
        if through:
            return f"{self._host} cannot be reached{through} ({why}): check the proxy, or {proxy_hint(self._host)}."
        return (
            f"{self._host} cannot be reached: check --host and the network, or forward the port "
            "(kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80)."
        )

    def _explained(self, status: int, body: str, what: str) -> str:
        words = message_of(body)
        if is_proxy_response(self._host, status, body):
            return (
                f"{via(self._host).removeprefix(' through ')} responds with {status} instead of {self._host}: check "
                f"the proxy, or {proxy_hint(self._host)}. It says: {words}"
            )
        if status == 401:
            return f"{self._host} requires a valid token: renew the token in ${TOKEN}, or the cookies in ${COOKIES}."
        if status == 403:
            where = f"namespace {self.namespace!r}" if self.namespace else "this namespace (give --namespace)"
            return f"{self._host} refuses: you lack permission in {where}. It says: {words}"
        if status == 429:
            return f"{self._host} gets too many requests, or a quota is exhausted: try again later; nothing is lost."
        return f"{self._host} responds with {status}{f' to {what}' if what else ''}: {words}"


def message_of(body: str) -> str:
    """The readable part of an error response: the cause, without codes, Go values and stack traces."""
    try:
        parsed = json.loads(body)
        # The message ends with the cause, after everything that failed because of it. The details of internal errors
        # are useless.
        details = [] if parsed.get("code") == _INTERNAL else parsed.get("details") or []
        causes = [detail["message"] for detail in details if detail.get("message")]
        body = parsed.get("error_message") or next(iter(causes), parsed.get("message")) or body
    except (ValueError, AttributeError):
        return " ".join(body.split())[:300]
    return " ".join(body.partition("\n")[0].partition(" (request: &")[0].split())[:300]


def _check_environment(host: str) -> None:
    """Refuses settings that the client would fail on or misread."""
    parts = urlsplit(host)
    if parts.scheme not in ("http", "https"):
        raise CompressorError(f"host {host!r} is not a URL: it must begin with https:// or http://.")
    if not parts.hostname:
        raise CompressorError(f"host {host!r} is not a URL: check --host.")
    if any(set(os.environ.get(name, "")) & set("\r\n") for name in (TOKEN, COOKIES)):
        raise CompressorError(f"${TOKEN} or ${COOKIES} contains a line break: remove it.")
    certificates = os.environ.get(CERTIFICATES)
    if certificates and parts.scheme == "https" and not Path(certificates).is_file():
        raise CompressorError(f"${CERTIFICATES} is {certificates!r}, which is not a file.")
