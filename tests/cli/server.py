"""The real services on a plain gRPC server in this process: all of netgraft but an engine.

`python tests/cli/server.py` serves them in a process of its own, and says so in the state folder
as `netgraft up` does, until its input ends.
"""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from netgraft.running import announced
from netgraft.serving.guard import RECEIVE_OPTIONS, Guard
from netgraft.serving.servicers import expose
from netgraft.serving.services import SERVICES
from netgraft.settings import settings


@contextmanager
def serving(
    port: int = 0, before: Sequence[grpc.aio.ServerInterceptor] = (), **launched: Any
) -> Iterator[str]:
    """Serve them at the address that is yielded. `launcher`: what runs tuning's jobs.

    `before`: interceptors that meet every call before the Guard does.
    """
    settings().make_token()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server: Any = None
    try:
        server, address = asyncio.run_coroutine_threadsafe(
            _start(port, before, launched), loop
        ).result(60)
        yield address
    finally:
        if server is not None:
            asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def serving_apart(state: Path, folder: Path) -> Iterator[str]:
    """All of them in a process of its own, which stands in `folder` and reads only that."""
    with subprocess.Popen(
        [sys.executable, __file__],
        cwd=folder,
        env={**os.environ, "NETGRAFT_STATE": str(state)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "the server did not start"
        try:
            yield address
        finally:
            process.communicate("")


async def _start(
    port: int,
    before: Sequence[grpc.aio.ServerInterceptor],
    launched: dict[str, Any],
) -> tuple[Any, str]:
    server = grpc.aio.server(interceptors=[*before, Guard()], options=RECEIVE_OPTIONS)
    address = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    arguments = {"agent": {"address": address}, "tuning": launched}
    for name, service in SERVICES.items():
        exposed = expose(service.servicer, service.descriptor)
        service.add_to(server, exposed(**arguments.get(name, {})))
    await server.start()
    return server, address


def main() -> None:
    with serving() as address, announced(address, "http://127.0.0.1:7860", "test"):
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
