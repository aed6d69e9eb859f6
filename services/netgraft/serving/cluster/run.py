"""A run on Ray: an actor that holds its cores and GPUs, and its ranks for as long as it lives.

Ray queues the actor until a node has what it asks for, and takes it back when the process ends,
however it ends. The actor ends with its raylet, its ranks with the actor: nothing of a run is left
when Ray takes its node for dead.
"""

import asyncio
import os
import signal
import threading
from dataclasses import dataclass, replace
from pkgutil import resolve_name

from netgraft.private import OTHERS
from netgraft.serving.cluster.node import Node
from netgraft.serving.forks.ranks import Ranks, rank_tasks
from netgraft.settings import settings

GRACE_SECONDS = 10.0
"""How long the ranks may take to leave after the job has ended."""


@dataclass(frozen=True)
class Parts:
    """The parts of a run, by dotted names: serving knows no slice."""

    node: str
    """The module of the node's fork server."""
    rank: str
    """A rank on one node: a function for `rank_tasks`."""
    spread: str
    """The whole of a run over several nodes: a function of the job, the number of ranks, their
    device and their threads."""
    beat: str
    """Shows that a run lives: a function of the job and the submission, which returns when the
    job is no longer this submission's."""


@dataclass(frozen=True)
class Share:
    """A run, and the part of the cluster that it gets."""

    job: str
    submission: str
    ranks: int
    device: str
    threads: int
    """Of each rank."""
    spread: bool
    """Whether no node has places for all ranks: then Ray places them on several."""
    environment: dict[str, str]
    """The settings of the process that started it."""


class Run:
    """The actor of a run, which starts by itself: whoever asked for it may be gone by then."""

    def __init__(self, share: Share, parts: Parts) -> None:
        """In the event loop, as of any actor with coroutines: any number may wait for its end."""
        os.umask(OTHERS)
        os.environ.update(share.environment)
        settings.cache_clear()
        self.share = share
        self.parts = parts
        self._ranks = Ranks()
        self._ended = threading.Event()
        self._waiting = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        for work in (self._work, self._show_life):
            threading.Thread(target=work, name=work.__name__, daemon=True).start()

    async def wait(self) -> None:
        """Return when it has ended; the caller meets an error of Ray's when it is lost."""
        await self._waiting.wait()

    async def checkpoint(self) -> None:
        """Let it write a checkpoint and end."""
        self._ranks.signal(signal.SIGTERM)

    def _work(self) -> None:
        try:
            if self.share.spread:
                self._on_several_nodes()
            else:
                self._on_this_node()
        finally:
            self._leave()

    def _on_this_node(self) -> None:
        share = self.share
        tasks = rank_tasks(
            self.parts.rank,
            share.job,
            share.submission,
            ranks=share.ranks,
            threads=share.threads,
            device=share.device,
            folder=settings().folder / "runs" / share.job,
        )
        node = Node(self.parts.node)
        environment = {**share.environment, **_gpus()}
        self._ranks.start(node.fork, [replace(task, environment=environment) for task in tasks])
        self._ranks.join()  # connected until then: the fork server stays

    def _on_several_nodes(self) -> None:
        share = self.share
        spread = resolve_name(self.parts.spread)
        spread(share.job, share.ranks, share.device, share.threads)

    def _show_life(self) -> None:
        resolve_name(self.parts.beat)(self.share.job, self.share.submission)
        if not self._ended.wait(GRACE_SECONDS):  # what does not leave is ended with this process
            self._leave()

    def _leave(self) -> None:
        """Give the cores and GPUs back."""
        self._ended.set()
        self._loop.call_soon_threadsafe(self._waiting.set)
        import ray

        ray.kill(ray.get_runtime_context().current_actor)


def _gpus() -> dict[str, str]:
    """The GPUs that Ray has given to this actor."""
    name = "CUDA_VISIBLE_DEVICES"
    return {name: os.environ[name]} if name in os.environ else {}
