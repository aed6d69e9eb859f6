"""A running netgraft's answers to callers without a token, and to malformed calls.

Every rpc before the front of the local engine; test_ray_kill.py meets Ray with the same calls, and
tests/serving/test_guard.py has the finer points.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from tests.e2e import strangers
from tests.e2e.system import System

from netgraft.serving.local import control

pytestmark = pytest.mark.e2e

each_rpc = pytest.mark.parametrize("method", strangers.METHODS, ids=lambda m: m.name)


@pytest.fixture(scope="module")
def channel(system: System) -> Iterator[grpc.Channel]:
    with strangers.opened(system.grpc) as channel:
        yield channel


@each_rpc
def test_a_stranger_gets_one_sentence_whatever_is_sent_wherever(
    channel: grpc.Channel, method: MethodDescriptor
) -> None:
    strangers.refused_without_the_token(channel, method)


@each_rpc
def test_an_rpc_in_another_services_application_names_its_own(
    system: System, channel: grpc.Channel, method: MethodDescriptor
) -> None:
    strangers.refused_in_another_application(channel, method, system.token)


@each_rpc
def test_bytes_that_are_no_message_are_an_invalid_argument(
    system: System, channel: grpc.Channel, method: MethodDescriptor
) -> None:
    strangers.refused_as_no_message(channel, method, system.token)


@pytest.mark.parametrize("known", [True, False])
def test_a_message_of_48_mib_is_refused_by_its_size(
    system: System, channel: grpc.Channel, known: bool
) -> None:
    strangers.refused_by_its_size(channel, system.token if known else "")


def test_of_a_strangers_stream_nothing_is_read(channel: grpc.Channel) -> None:
    strangers.refused_before_a_stream_is_read(channel)


def test_a_part_of_a_file_beyond_the_limit_is_refused_too(
    system: System, channel: grpc.Channel
) -> None:
    strangers.refused_as_too_large_a_part(channel, system.token)


def test_strangers_write_nothing_into_any_log(system: System, channel: grpc.Channel) -> None:
    before = log_bytes(system)
    calls = strangers.call_all(channel, 3)
    time.sleep(1)
    assert log_bytes(system) - before < 10 * calls, "a traceback is ten thousand bytes"


def log_bytes(system: System) -> int:
    """Size of what all processes have logged."""
    return sum(file.stat().st_size for file in (system.state / "logs").iterdir())


def test_what_is_written_is_closed_to_the_machines_other_users(system: System) -> None:
    [front] = system.processes("netgraft.app.front")
    socket = Path(front.environ()[control.ADDRESS])
    written = [socket, socket.parent, *system.state.rglob("*")]
    assert [path for path in written if path.lstat().st_mode & 0o077] == []


def test_what_up_prints_is_netgrafts_own_and_a_file_holds_the_rest(system: System) -> None:
    assert (system.state / "demo.log").read_text() == ""  # beside its addresses
    assert system.token not in system.terminal.read_text()
    assert (system.state / "logs" / "up.log").is_file()
