"""A running netgraft's answers to callers without a token, and to malformed calls.

Every rpc before the front of the local engine; tests/serving/test_guard.py has the finer points.
"""

import itertools
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from tests.e2e.system import System

from netgraft.errors import Unauthenticated
from netgraft.serving.guard import MESSAGE_BYTES
from netgraft.serving.local import control

pytestmark = pytest.mark.e2e

METHODS = [
    method
    for name in ("models", "graph", "surgery", "tuning", "agent")
    for service in import_module(f"netgraft.v1.{name}_pb2").DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
APPLICATIONS = ["models", "graphs", "surgery", "tuning", "agent", "nobody", "", "Models", None]
GARBAGE = [b"\xff" * 9, b"\x0a\xff", b"\x0a\x03\xff\xfe\xfd"]
LEAKS = ("Traceback", "site-packages", "pid=", "ray::", "<class", "/")

each_rpc = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)


@pytest.fixture(scope="module")
def channel(system: System) -> Iterator[grpc.Channel]:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(system.grpc, options) as opened:
        yield opened


def call(
    channel: grpc.Channel,
    method: MethodDescriptor,
    body: bytes,
    application: str | None,
    token: str = "",
) -> tuple[grpc.StatusCode, str, str]:
    """Send bytes as they are; returns the code, reason and sentence that the call failed with."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    metadata = [("authorization", f"Bearer {token}")] if token else []
    if application is not None:
        metadata.append(("application", application))
    with pytest.raises(grpc.RpcError) as failed:
        if method.client_streaming:
            channel.stream_unary(path)(iter([body]), metadata=metadata, timeout=60)
        elif method.server_streaming:
            list(channel.unary_stream(path)(body, metadata=metadata, timeout=60))
        else:
            channel.unary_unary(path)(body, metadata=metadata, timeout=60)
    failure = failed.value
    assert isinstance(failure, grpc.Call)
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(failure)
    if status is not None:
        assert status.details[0].Unpack(info)
    return failure.code(), info.reason, failure.details() or ""


@each_rpc
def test_a_stranger_gets_one_sentence_whatever_is_sent_wherever(
    channel: grpc.Channel, method: MethodDescriptor
) -> None:
    for application, body in itertools.product(APPLICATIONS, [b"", *GARBAGE]):
        code, reason, sentence = call(channel, method, body, application)
        assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
        assert sentence == Unauthenticated().sentence()


@each_rpc
def test_an_rpc_in_another_services_application_names_its_own(
    system: System, channel: grpc.Channel, method: MethodDescriptor
) -> None:
    own = method.containing_service.name.lower()
    for application in APPLICATIONS:
        if application == own:
            continue
        code, reason, sentence = call(channel, method, b"", application, system.token)
        assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "WRONG_APPLICATION")
        assert f"`application: {own}`" in sentence
        assert not [leak for leak in LEAKS if leak in sentence]


@each_rpc
def test_bytes_that_are_no_message_are_an_invalid_argument(
    system: System, channel: grpc.Channel, method: MethodDescriptor
) -> None:
    own = method.containing_service.name.lower()
    for body in GARBAGE[:2]:  # the third is a message where the first field is of bytes
        code, reason, sentence = call(channel, method, body, own, system.token)
        assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "NOT_A_MESSAGE")
        assert not [leak for leak in LEAKS[:-1] if leak in sentence]


@pytest.mark.parametrize("known", [True, False])
def test_a_message_of_48_mib_is_refused_by_its_size(
    system: System, channel: grpc.Channel, known: bool
) -> None:
    [plan] = [method for method in METHODS if method.name == "Plan"]
    body = b"x" * (48 * 2**20)
    code, _, _ = call(channel, plan, body, "agent", system.token if known else "")
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_of_a_strangers_stream_nothing_is_read(system: System, channel: grpc.Channel) -> None:
    sent: list[int] = []

    def forever() -> Iterator[bytes]:
        while len(sent) < 200:
            sent.append(1)
            yield bytes(2**20)

    upload = channel.stream_unary("/netgraft.v1.Models/UploadFile")
    with pytest.raises(grpc.RpcError) as failed:
        upload(forever(), metadata=[("application", "models")], timeout=60)
    assert isinstance(failed.value, grpc.Call)
    assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert len(sent) < 100, "cut off before all was sent"


def test_a_part_of_a_file_beyond_the_limit_is_refused_too(
    system: System, channel: grpc.Channel
) -> None:
    [upload] = [method for method in METHODS if method.name == "UploadFile"]
    code, _, _ = call(channel, upload, bytes(MESSAGE_BYTES + 1), "models", system.token)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_strangers_write_nothing_into_any_log(system: System, channel: grpc.Channel) -> None:
    before = log_bytes(system)
    calls = strangers_call(channel, 3)
    time.sleep(1)
    assert log_bytes(system) - before < 10 * calls, "a traceback is ten thousand bytes"


def strangers_call(channel: grpc.Channel, times: int) -> int:
    """Call everything without a token, some times; return the number of calls."""
    calls = 0
    for _ in range(times):
        for method, application in itertools.product(METHODS, ["models", "tuning", None]):
            call(channel, method, b"\xff" * 9, application)
            calls += 1
    return calls


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
