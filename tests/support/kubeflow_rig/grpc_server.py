"""A gRPC server whose methods are looked up by name."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc

Method = Callable[[bytes, grpc.ServicerContext], bytes]


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, method_of: Callable[[str], Method | None]) -> None:
        self._method_of = method_of

    def service(self, details: Any) -> grpc.RpcMethodHandler | None:
        method = self._method_of(details.method)
        return None if method is None else grpc.unary_unary_rpc_method_handler(method)


def serve(address: str, port: int, method_of: Callable[[str], Method | None]) -> grpc.Server:
    """Starts a server.

    Args:
        address: Address of the server.
        port: Port of the server.
        method_of: Returns the function for the method of a path; it takes and returns bytes.
    """
    server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((_Handler(method_of),))
    server.add_insecure_port(f"{address}:{port}")
    server.start()
    return server
