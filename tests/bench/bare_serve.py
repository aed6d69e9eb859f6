"""A bare Ray Serve with so many empty apps, until the first of them answers over HTTP.

    python tests/bench/bare_serve.py APPS [--stay]

Prints "answered" then, and ends, or stays until its input is closed. The peer of bench_start.py
and bench_engines.py: nothing built on Ray Serve can start faster. No dashboard, no gRPC, no
netgraft.
"""

import contextlib
import socket
import sys
import time
import urllib.request

import ray
from ray import serve
from ray.serve.config import HTTPOptions


@serve.deployment(ray_actor_options={"num_cpus": 0})  # as netgraft's: more apps than cores
class Empty:
    def __call__(self) -> str:
        return "here"


def main(apps: int, *, stay: bool) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        serve.start(http_options=HTTPOptions(host="127.0.0.1", port=port))
        targets = [
            serve.RunTarget(target=Empty.bind(), name=f"app{number}", route_prefix=f"/app{number}")
            for number in range(apps)
        ]
        serve.run_many(targets)
        while not answers(f"http://127.0.0.1:{port}/app0"):
            time.sleep(0.02)
        print("answered", flush=True)  # noqa: T201
        if stay:
            sys.stdin.read()
    finally:
        serve.shutdown()
        ray.shutdown()


def answers(url: str) -> bool:
    with contextlib.suppress(OSError):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return opener.open(url, timeout=5).read() == b"here"
    return False


if __name__ == "__main__":
    main(int(sys.argv[1]), stay="--stay" in sys.argv)
