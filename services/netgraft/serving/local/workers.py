"""The front's tensor workers: one, and more, up to the cores, while there is work for them."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from netgraft.errors import Unreachable, WorkerLost
from netgraft.serving.local.control import NoSupervisor
from netgraft.serving.local.links import END, FAILED, TAKEN, Call, failure_from, hang_up
from netgraft.serving.servicers import caller
from netgraft.settings import settings

T = TypeVar("T")

IDLE_SECONDS = 10.0
"""After which a worker that is not the only one leaves."""
ENDED_SECONDS = 2.0
"""After which a worker that was hung up on has ended."""
LONG = frozenset({"CheckData", "Evaluate", "Forecast", "MeanFeatures", "Predict"})
"""Calls that take minutes. Each has a process of its own, so that others do not wait for it."""


class Supply(Protocol):
    """A source of tensor workers."""

    def worker(self) -> Connection:
        """Return the link to a new one. Raises NoSupervisor."""


class Workers:
    """Answers calls by tensor workers. For one event loop; see `Elsewhere`."""

    def __init__(
        self,
        supervisor: Supply,
        most: int,
        *,
        stay: bool = True,
        broken_off: Callable[[], None] = lambda: None,
    ) -> None:
        """`stay`: the last one stays when there is nothing to do, ready for the next call.

        `broken_off` is called, in a thread, some seconds after a call ended in its middle.
        """
        self.supervisor = supervisor
        self._stay = stay
        self._broken_off = broken_off
        self._places = asyncio.Semaphore(most)
        self._long_places = asyncio.Semaphore(most)
        # Of its own: the loop's threads are for servicers, and few.
        self._threads = ThreadPoolExecutor(2 * most, "workers")
        self._idle: list[tuple[Connection, asyncio.TimerHandle]] = []

    async def prepare(self) -> None:
        """Have a worker before the first call; does not fail where there is none yet."""
        with suppress(Unreachable):
            async with self._places:
                if not self._idle:
                    self._give_back(await self._new(), over=True)

    async def answers(self, service: str, rpc: str, request: Message) -> AsyncGenerator[bytes]:
        """The serialized replies to a call. Raises Failure, WorkerLost and Unreachable."""
        call = Call(service.lower(), rpc, caller(), request.SerializeToString())
        long = rpc in LONG and not getattr(request, "quick", False)
        async with self._long_places if long else self._places:
            link = await self._begun(call.to_bytes(), fresh=long)
            over = False
            try:
                while (data := await self._in_thread(link.recv_bytes)) != END:
                    if data.startswith(FAILED):
                        over = True
                        raise failure_from(data)
                    yield data[1:]
                over = True
            except (EOFError, OSError) as error:
                raise WorkerLost from error
            finally:
                self._give_back(link, over=over and not long)

    async def _begun(self, call: bytes, *, fresh: bool) -> Connection:
        """The link to a worker that has taken a call: an idle one, or a new one.

        Raises WorkerLost when a new one is lost before it does, and Unreachable.
        """
        while self._idle and not fresh:
            link, timer = self._idle.pop()
            timer.cancel()
            if await self._in_thread(_takes, link, call):
                return link
            link.close()  # it had gone
        link = await self._new()
        if await self._in_thread(_takes, link, call):
            return link
        link.close()
        raise WorkerLost

    async def _new(self) -> Connection:
        """The link to a new worker. Raises Unreachable."""
        try:
            return await self._in_thread(self.supervisor.worker)
        except NoSupervisor as error:
            raise Unreachable(address=settings().server) from error

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *arguments)

    def _give_back(self, link: Connection, *, over: bool) -> None:
        loop = asyncio.get_running_loop()
        if not over:
            # It ends now, and with it what it computes for a caller who has gone.
            hang_up(link)
            loop.call_later(ENDED_SECONDS, self._threads.submit, self._broken_off)
            return
        timer = loop.call_later(IDLE_SECONDS, self._let_go, link)
        self._idle.append((link, timer))

    def _let_go(self, link: Connection) -> None:
        others = [each for each in self._idle if each[0] is not link]
        if others or not self._stay:
            self._idle = others
            hang_up(link)


def _takes(link: Connection, call: bytes) -> bool:
    """Send a call; return whether the worker lives to take it."""
    try:
        link.send_bytes(call)
        return link.recv_bytes() == TAKEN
    except (EOFError, OSError):
        return False
