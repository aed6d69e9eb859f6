"""The database never holds up the event loop that serves the agent."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from netgraft.agent.blocking import in_thread
from netgraft.agent.servicer import AgentServicer
from netgraft.store.store import Store
from netgraft.v1 import agent_pb2


async def test_a_call_that_has_begun_comes_to_its_end_before_its_caller_is_cancelled() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        assert go_on.wait(30)
        done.set()

    task = asyncio.create_task(in_thread(write))
    assert await asyncio.to_thread(begun.wait, 30)
    task.cancel()
    await asyncio.sleep(0.05)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()


async def test_what_a_call_raises_reaches_its_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 1, 0)


async def test_a_plan_waits_for_a_locked_database_and_nothing_else_does(
    store: Store, state: Path, tmp_path: Path
) -> None:
    """The lock is let go by the loop that carries the plan out: it must not wait itself."""
    agent = AgentServicer(store, address="127.0.0.1:9")  # nothing listens there
    step = agent_pb2.Step(show=agent_pb2.ShowStep(model="resnet18"))
    request = agent_pb2.RunRequest(steps=[step], conversation_id="talk")
    store.session().__enter__().close()  # the schema is made before it is locked
    with closing(sqlite3.connect(tmp_path / "netgraft.db", isolation_level=None)) as other:
        other.execute("begin immediate")

        async def carried_out() -> list[agent_pb2.RunEvent]:
            return [event async for event in agent.Run(request)]

        task = asyncio.create_task(carried_out())
        await asyncio.sleep(0.5)
        assert not task.done(), "it writes down what happens before it says so"
        other.execute("commit")
        events = await task
    assert [event.WhichOneof("event") for event in events] == ["started", "failed"]
