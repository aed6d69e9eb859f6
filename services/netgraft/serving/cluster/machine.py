"""A Ray cluster as a machine that starts runs: see `netgraft.tuning.workers.local.Machine`."""

import logging
import math
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from netgraft.serving.cluster.run import Parts, Run, Share
from netgraft.settings import settings

if TYPE_CHECKING:
    from ray.actor import ActorHandle

logger = logging.getLogger(__name__)

NAMESPACE = "netgraft-runs"
"""Of the actors, whose names are JOB/SUBMISSION."""
NOT_PASSED_ON = {"token", "database"}
"""Settings that must not stand in an actor's description, which Ray shows. A node gets them from
its own environment, if at all."""


class NoCluster(ConnectionError):
    """Ray cannot be asked."""


class Cluster:
    """The Ray that this process is connected to, as a Serve replica is."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._ended: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()

    def capacity(self) -> tuple[int, int]:
        """Return all cores and GPUs, in use or not. Raises NoCluster."""
        nodes = _nodes()
        return sum(cores for cores, _ in nodes), sum(gpus for _, gpus in nodes)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Start a run, or stop one. Raises NoCluster."""
        with _reachable():
            getattr(self, f"_{request.pop('do')}")(**request)
        return {}

    def follow(self) -> Iterator[dict[str, Any]]:
        """Yield what happens to runs: first all that live or wait, then each that ends."""
        with _reachable():
            living = [name.split("/") for name in _names()]
        for job, submission in living:
            self._watch(job, submission)
        yield {"runs": [submission for _, submission in living]}
        while True:
            yield self._ended.get()

    def lives(self, submission: str) -> bool:
        """Return whether a run lives, or waits for its cores.

        True also where Ray cannot be asked: it could start no other then.
        """
        try:
            with _reachable():
                return _find(submission) is not None
        except NoCluster:
            return True

    def _start(self, job: str, submission: str, ranks: int, device: str) -> None:
        import ray

        threads, spread = shared_out(_nodes(), ranks, gpu=device == "gpu")
        share = Share(job, submission, ranks, device, threads, spread, environment())
        ray.remote(Run).options(
            name=f"{job}/{submission}",
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            **_resources(share),
        ).remote(share, self.parts)
        self._watch(job, submission)

    def _stop(self, submission: str) -> None:
        import ray

        if (actor := _find(submission)) is not None:
            ray.kill(actor)

    def _release(self, submission: str) -> None:
        """Do nothing: Ray keeps no place for the run that goes on from a lost one."""

    def _watch(self, job: str, submission: str) -> None:
        def watch() -> None:
            import ray

            try:
                actor = ray.get_actor(f"{job}/{submission}", NAMESPACE)
                ray.get(actor.wait.remote())
            except (ray.exceptions.RayError, ValueError):
                pass  # lost: that is an end, too
            except SystemExit:  # Ray's, where this process is about to end
                return
            self._ended.put({"job": job, "submission": submission})

        threading.Thread(target=watch, name=submission, daemon=True).start()


def end_runs(seconds: float) -> None:
    """Let all runs write a checkpoint, and wait for that so long."""
    import ray

    ended: list[Any] = []
    for name in _names():
        actor: Any = ray.get_actor(name, NAMESPACE)
        actor.checkpoint.remote()
        ended.append(actor.wait.remote())
    if ended:
        ray.wait(ended, num_returns=len(ended), timeout=seconds)


def shared_out(nodes: list[tuple[int, int]], ranks: int, *, gpu: bool) -> tuple[int, bool]:
    """Return the threads of each rank, and whether the ranks go over several nodes.

    One node, if any has as many cores (GPUs) as there are ranks; on CPUs they share its cores.
    """
    places = [place for cores, gpus in nodes if (place := gpus if gpu else cores)]
    most = max(places, default=0)
    if ranks <= most:
        return 1 if gpu else most // ranks, False
    each = math.ceil(ranks / max(1, len(places)))
    return 1 if gpu else max(1, min(places, default=1) // each), True


def _resources(share: Share) -> dict[str, float]:
    if share.spread:
        return {"num_cpus": 0}  # Ray Train asks for those of the ranks
    gpus = share.ranks if share.device == "gpu" else 0
    return {"num_cpus": share.ranks * share.threads, "num_gpus": gpus}


def _nodes() -> list[tuple[int, int]]:
    """Return the cores and GPUs of each node that lives. Raises NoCluster."""
    import ray

    if not ray.is_initialized():
        raise NoCluster
    living = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return [(int(each.get("CPU", 0)), int(each.get("GPU", 0))) for each in living]


def _names() -> list[str]:
    from ray.util import list_named_actors

    found = list_named_actors(all_namespaces=True)
    return [each["name"] for each in found if each["namespace"] == NAMESPACE]


def _find(submission: str) -> "ActorHandle[Any] | None":
    import ray

    name = next((name for name in _names() if name.endswith(f"/{submission}")), "")
    try:
        return ray.get_actor(name, NAMESPACE) if name else None
    except ValueError:  # it has just ended
        return None


@contextmanager
def _reachable() -> Iterator[None]:
    """Raise NoCluster for Ray's own errors."""
    from ray.exceptions import RayError

    try:
        yield
    except (RayError, RuntimeError) as error:
        raise NoCluster(str(error)) from error


def environment() -> dict[str, str]:
    """Return this process's settings, with the folders made absolute."""
    values = settings().model_dump(exclude=NOT_PASSED_ON)
    values["state"] = settings().folder
    values["data_roots"] = ":".join(str(root) for root in settings().roots)
    return {f"NETGRAFT_{name.upper()}": str(value) for name, value in values.items()}
