"""ML Metadata's gRPC service, on the store in its wheel."""

from __future__ import annotations

import threading
from pathlib import Path

import grpc
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as extension
from ml_metadata.proto import metadata_store_pb2 as pb

from kubeflow_rig.grpc_server import Method, serve

PORT = 8080
SERVICE = "/ml_metadata.MetadataStoreService/"


class Mlmd:
    """The service, which passes bytes to and from the store.

    Attributes:
        refusals: Method and reason of each request that the store refused.
    """

    def __init__(self, address: str, file: Path) -> None:
        config = pb.ConnectionConfig()
        config.sqlite.filename_uri = str(file)
        config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        options = pb.MigrationOptions().SerializeToString()
        self._store = extension.CreateMetadataStore(config.SerializeToString(), options)
        self._one_at_a_time = threading.Lock()
        self.refusals: list[tuple[str, str]] = []
        self._server = serve(address, PORT, self._method_of)

    def _method_of(self, path: str) -> Method | None:
        name = path.removeprefix(SERVICE)
        if not path.startswith(SERVICE) or not hasattr(extension, name):
            return None

        def call(request: bytes, context: grpc.ServicerContext) -> bytes:
            with self._one_at_a_time:
                response, message, code = getattr(extension, name)(self._store, request)
            if code:
                self.refusals.append((name, message.decode()))
                context.abort(next(one for one in grpc.StatusCode if one.value[0] == code), message.decode())
            return response

        return call

    def close(self) -> None:
        """Stops serving."""
        self._server.stop(None).wait()
