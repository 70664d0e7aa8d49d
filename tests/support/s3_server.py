"""A local object store with S3's protocol: moto's server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import boto3
import requests
import s3fs
from moto.server import ThreadedMotoServer


class S3Server:
    """A server with buckets, which runs from its creation until it is closed.

    Attributes:
        environment: Environment variables with its URL and credentials, for clients.
        client: Amazon's client for it.
    """

    def __init__(self, *buckets: str) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self._url = f"http://{host}:{port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self._url,
            "AWS_ACCESS_KEY_ID": "key-of-the-test",
            "AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        with mock.patch.dict(os.environ, self.environment):
            self.client: Any = boto3.client("s3")
        self._buckets = buckets
        for bucket in buckets:
            self.client.create_bucket(Bucket=bucket)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Sets the environment of this process to the server, and to no other."""
        others = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3")
        with mock.patch.dict(os.environ, self.environment):
            for name in others:
                os.environ.pop(name, None)
            s3fs.S3FileSystem.clear_instance_cache()  # they keep the environment
            yield
        s3fs.S3FileSystem.clear_instance_cache()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuses all requests."""
        self._let_through(b"0")
        try:
            yield
        finally:
            self._let_through(b"inf")

    def _let_through(self, let: bytes) -> None:
        requests.post(f"{self._url}/moto-api/reset-auth", data=let, timeout=10).raise_for_status()

    def clear(self, bucket: str) -> None:
        """Deletes all objects in a bucket."""
        for name in self.names(bucket):
            self.client.delete_object(Bucket=bucket, Key=name)

    def names(self, bucket: str) -> list[str]:
        """All keys in a bucket."""
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=bucket).get("Contents", ())]

    def close(self) -> None:
        """Empties the buckets, which all servers of this process share, and stops serving."""
        for bucket in self._buckets:
            self.clear(bucket)
        self._server.stop()
