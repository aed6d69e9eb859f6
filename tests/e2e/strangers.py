"""What strangers send to a running netgraft, and how each engine answers."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from netgraft.errors import Unauthenticated
from netgraft.serving.guard import MESSAGE_BYTES

METHODS = [
    method
    for name in ("models", "graph", "surgery", "tuning", "agent")
    for service in import_module(f"netgraft.v1.{name}_pb2").DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
APPLICATIONS = ["models", "graphs", "surgery", "tuning", "agent", "nobody", "", "Models", None]
GARBAGE = [b"\xff" * 9, b"\x0a\xff", b"\x0a\x03\xff\xfe\xfd"]
LEAKS = ("Traceback", "site-packages", "pid=", "ray::", "<class", "/")


@contextmanager
def opened(address: str) -> Iterator[grpc.Channel]:
    """A connection that sends messages of any size."""
    with grpc.insecure_channel(address, [("grpc.max_send_message_length", -1)]) as channel:
        yield channel


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


def refused_without_the_token(channel: grpc.Channel, method: MethodDescriptor) -> None:
    for application, body in itertools.product(APPLICATIONS, [b"", *GARBAGE]):
        code, reason, sentence = call(channel, method, body, application)
        assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
        assert sentence == Unauthenticated().sentence()


def refused_in_another_application(
    channel: grpc.Channel, method: MethodDescriptor, token: str
) -> None:
    own = method.containing_service.name.lower()
    for application in APPLICATIONS:
        if application == own:
            continue
        code, reason, sentence = call(channel, method, b"", application, token)
        assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "WRONG_APPLICATION")
        assert f"`application: {own}`" in sentence
        assert not [leak for leak in LEAKS if leak in sentence]


def refused_as_no_message(channel: grpc.Channel, method: MethodDescriptor, token: str) -> None:
    own = method.containing_service.name.lower()
    for body in GARBAGE[:2]:  # the third is a message where the first field is of bytes
        code, reason, sentence = call(channel, method, body, own, token)
        assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "NOT_A_MESSAGE")
        assert not [leak for leak in LEAKS[:-1] if leak in sentence]


def refused_by_its_size(channel: grpc.Channel, token: str) -> None:
    [plan] = [method for method in METHODS if method.name == "Plan"]
    code, _, _ = call(channel, plan, b"x" * (48 * 2**20), "agent", token)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def refused_as_too_large_a_part(channel: grpc.Channel, token: str) -> None:
    [upload] = [method for method in METHODS if method.name == "UploadFile"]
    code, _, _ = call(channel, upload, bytes(MESSAGE_BYTES + 1), "models", token)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def refused_before_a_stream_is_read(channel: grpc.Channel) -> None:
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


def call_all(channel: grpc.Channel, times: int) -> int:
    """Call everything without a token, some times; return the number of calls."""
    calls = 0
    for _ in range(times):
        for method, application in itertools.product(METHODS, ["models", "tuning", None]):
            call(channel, method, b"\xff" * 9, application)
            calls += 1
    return calls
