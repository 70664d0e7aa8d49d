"""Forwards gRPC calls to a server at another port."""

from __future__ import annotations

from functools import partial

import grpc

from kubeflow_rig.grpc_server import Method, serve


class Relay:
    """A relay in front of a local server.

    Args:
        address: Address of the relay.
        port: Port of the relay.
        behind: Port of the server.
    """

    def __init__(self, address: str, port: int, behind: int) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{behind}", options=[("grpc.enable_http_proxy", 0)])
        self._server = serve(address, port, self._method_of)

    def _method_of(self, path: str) -> Method:
        return partial(self._handed_on, path)

    def _handed_on(self, path: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return bytes(self._channel.unary_unary(path)(request))
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
            raise

    def close(self) -> None:
        """Stops serving."""
        self._server.stop(None).wait()
        self._channel.close()
