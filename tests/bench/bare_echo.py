"""A bare `grpc.aio` server that answers ResolveModel with a message that it was given once.

    python tests/bench/bare_echo.py PORT < MESSAGE

The peer of bench_engines.py: no servicer of a Python server can answer faster. Ends on SIGTERM.
"""

import asyncio
import signal
import sys
from typing import Any

import grpc.aio

METHOD = "/netgraft.v1.Models/ResolveModel"


class Echo(grpc.GenericRpcHandler):
    """Parses what comes and returns the same message, made anew, as a servicer does."""

    def __init__(self, message: Any) -> None:
        self.message = message

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        from netgraft.v1 import models_pb2

        async def answer(_: Any, __: Any) -> Any:
            reply = models_pb2.Model()
            reply.CopyFrom(self.message)
            return reply

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=models_pb2.ResolveModelRequest.FromString,
            response_serializer=models_pb2.Model.SerializeToString,
        )


async def main(port: int) -> None:
    from netgraft.v1 import models_pb2

    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(models_pb2.Model.FromString(sys.stdin.buffer.read())),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print("answered", flush=True)  # noqa: T201
    await ending.wait()
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
