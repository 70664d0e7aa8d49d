"""An object store with S3's protocol in place of Kubeflow's own, which records the access key of each request."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import boto3
import moto.s3.utils
import moto.settings
from botocore.config import Config
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from kubeflow_rig.kubernetes import KEYS

PORT = 9000
BUCKET = "mlpipeline"


@dataclass(frozen=True)
class Request:
    """A request.

    Attributes:
        method: HTTP method, such as ``PUT``.
        path: Path, with the bucket and without the query.
        key: Access key that signed it; empty for an unsigned request.
        host: Requested host.
    """

    method: str
    path: str
    key: str
    host: str


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        pass


class ObjectStore:
    """The store.

    Attributes:
        requests: All requests, the oldest first.
        client: Amazon's client for it.
    """

    def __init__(self, address: str) -> None:
        # The hosts have dots, but do not begin with a bucket's name.
        self._patches = [
            mock.patch.object(module, "S3_IGNORE_SUBDOMAIN_BUCKETNAME", True)
            for module in (moto.settings, moto.s3.utils)
        ]
        for patch in self._patches:
            patch.start()
        self.requests: list[Request] = []
        application = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(address, PORT, self._noted(application), threaded=True, request_handler=_Quiet)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.client: Any = boto3.client(
            "s3", endpoint_url=f"http://{address}:{PORT}", region_name="us-east-1",
            aws_access_key_id=KEYS["accesskey"], aws_secret_access_key=KEYS["secretkey"],
            config=Config(proxies={}, s3={"addressing_style": "path"}),
        )  # fmt: skip
        self.client.create_bucket(Bucket=BUCKET)

    def _noted(self, application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        def call(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            signed = re.search(r"Credential=([^/]*)", environ.get("HTTP_AUTHORIZATION", ""))
            self.requests.append(
                Request(
                    environ["REQUEST_METHOD"], environ["PATH_INFO"], signed[1] if signed else "",
                    environ.get("HTTP_HOST", ""),
                )
            )  # fmt: skip
            return application(environ, start_response)

        return call

    def names(self, prefix: str = "", bucket: str = BUCKET) -> list[str]:
        """The keys in a bucket that start with a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def read(self, name: str, bucket: str = BUCKET) -> bytes:
        """An object's content."""
        return bytes(self.client.get_object(Bucket=bucket, Key=name)["Body"].read())

    def close(self) -> None:
        """Empties the buckets, which all stores of this process share, and stops serving."""
        for bucket in self.client.list_buckets()["Buckets"]:
            for name in self.names(bucket=bucket["Name"]):
                self.client.delete_object(Bucket=bucket["Name"], Key=name)
            self.client.delete_bucket(Bucket=bucket["Name"])
        self._server.shutdown()
        self._server.server_close()
        for patch in self._patches:
            patch.stop()
