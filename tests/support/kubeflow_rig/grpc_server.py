"""A gRPC server of a handler that knows its methods by name."""

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
        address: Where.
        port: At which port.
        method_of: Gives what answers the method of a path; bytes in, bytes out.
    """
    server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((_Handler(method_of),))
    server.add_insecure_port(f"{address}:{port}")
    server.start()
    return server
