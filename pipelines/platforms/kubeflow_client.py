"""The way in to Kubeflow Pipelines: the ``kfp`` client, logged in, that waits for no answer for ever."""

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
"""Environment variables with what a cluster wants to see; the client knows further ways by itself."""
CERTIFICATES = "SSL_CERT_FILE"
"""Environment variable with the certificates of the authorities to trust, as OpenSSL knows it."""

_INTERNAL = 13
"""gRPC's code of an internal error."""


class KubeflowClient:
    """Kubeflow Pipelines' API, as one user in one namespace.

    Attributes:
        api: The client of ``kfp``.
        namespace: The user's; empty where the cluster has none.
    """

    def __init__(self, host: str, namespace: str | None) -> None:
        """Logs in, and looks whether the API answers.

        Args:
            host: URL of the API or of the UI, which hands on to it.
            namespace: The user's; None: what the client has stored, or none.

        Raises:
            CompressorError: If it cannot be reached, lets nobody in, or has many users and no namespace is given.
        """
        self._host, self.namespace = host.rstrip("/"), namespace or ""
        _check_environment(host)
        with self.told(hide=False):  # logging in may ask something
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
                f"{self._host} answers with a web page, perhaps to log in: give the URL of the KFP API, and a token in "
                f"${TOKEN} or cookies in ${COOKIES}."
            )
        if not health.multi_user:
            self.namespace = ""
            return
        self.namespace = self.namespace or self.api.get_user_namespace()
        if not self.namespace:
            raise CompressorError(f"{self._host} has many users: name your namespace by --namespace.")

    def ask(self, path: str) -> Any:
        """Gets what the client has no method for, as JSON.

        Args:
            path: Below the host, such as ``/apis/v1beta1/runs/1``.
        """
        return self.api.ask(path)

    def link(self, run_id: str) -> str:
        """The page of a run."""
        return f"{self.api.url}/#/runs/details/{run_id}"

    @contextmanager
    def told(self, what: str = "", *, hide: bool = True) -> Iterator[None]:
        """Says in one message what the API has refused.

        Args:
            what: What is asked about, for the message.
            hide: Whether what the client prints is kept back; otherwise it goes to the standard error.
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
            raise CompressorError(f"host {self._host!r} is no URL: check --host.") from None
        except urllib3.exceptions.HTTPError as error:
            raise CompressorError(self._unreachable(error)) from error
        except (GoogleAuthError, requests.RequestException) as error:
            raise CompressorError(
                f"Google's log-in, which {self._host} wants, fails: gcloud auth application-default login renews it."
            ) from error
        except OSError as error:
            raise CompressorError(f"{what or self._host} cannot be read: {error}") from error

    def _unreachable(self, error: Exception) -> str:
        why = reason(error)
        if "CERTIFICATE_VERIFY_FAILED" in why:
            return (
                f"{self._host} has a certificate that is not trusted: name a file with that of its authority in "
                f"${CERTIFICATES}."
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
                f"{via(self._host).removeprefix(' through ')} answers {status} in place of {self._host}: check the "
                f"proxy, or {proxy_hint(self._host)}. It says: {words}"
            )
        if status == 401:
            return (
                f"{self._host} takes no one without a valid token: renew the one in ${TOKEN}, or cookies in ${COOKIES}."
            )
        if status == 403:
            where = f"namespace {self.namespace!r}" if self.namespace else "this namespace (give --namespace)"
            return f"{self._host} refuses: you may not do this in {where}. It says: {words}"
        if status == 429:
            return f"{self._host} is asked too often, or a quota is used up: try again later; nothing is lost."
        return f"{self._host} answers {status}{f' to {what}' if what else ''}: {words}"


def message_of(body: str) -> str:
    """What an answer says to people: the cause, without codes, Go's values and the stack trace that some have."""
    try:
        said = json.loads(body)
        # The message has the cause at its end, behind all that failed for it. Of the server's own errors the details
        # say nothing.
        details = [] if said.get("code") == _INTERNAL else said.get("details") or []
        causes = [detail["message"] for detail in details if detail.get("message")]
        body = said.get("error_message") or next(iter(causes), said.get("message")) or body
    except (ValueError, AttributeError):
        return " ".join(body.split())[:300]
    return " ".join(body.partition("\n")[0].partition(" (request: &")[0].split())[:300]


def _check_environment(host: str) -> None:
    """Refuses what the client would stumble over, or take for something else."""
    parts = urlsplit(host)
    if parts.scheme not in ("http", "https"):
        raise CompressorError(f"host {host!r} is no URL: begin with https:// or http://.")
    if not parts.hostname:
        raise CompressorError(f"host {host!r} is no URL: check --host.")
    if any(set(os.environ.get(name, "")) & set("\r\n") for name in (TOKEN, COOKIES)):
        raise CompressorError(f"${TOKEN} or ${COOKIES} holds a line break: give it without.")
    certificates = os.environ.get(CERTIFICATES)
    if certificates and parts.scheme == "https" and not Path(certificates).is_file():
        raise CompressorError(f"${CERTIFICATES} names no file: {certificates!r}.")
