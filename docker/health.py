#!/usr/bin/env python
"""Check the health of this container's server; the exit code is 0 if it is healthy.

netgraft-health services    Ray Serve's own gRPC health method
netgraft-health ui          the gateway's /healthz
"""

import os
import sys
import urllib.error
import urllib.request

SECONDS = 5


def services() -> None:
    """Raise grpc.RpcError unless Ray Serve's gRPC proxy reports that it is healthy."""
    import grpc

    port = os.environ.get("NETGRAFT_GRPC_PORT", "9000")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        healthz = channel.unary_unary("/ray.serve.RayServeAPIService/Healthz")
        healthz(b"", timeout=SECONDS)


def ui() -> None:
    """Raise URLError unless the gateway answers 200."""
    port = os.environ.get("NETGRAFT_WEB_PORT", "7860")
    urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=SECONDS).close()


if __name__ == "__main__":
    {"services": services, "ui": ui}[sys.argv[1]]()
