"""What goes over the link between the front and a tensor worker: a call, and its answers."""

import json
import os
import socket
from base64 import b64decode, b64encode
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Self

from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from netgraft.serving.guard import Failure
from netgraft.serving.servicers import Caller
from netgraft.serving.services import SERVICES

TAKEN = b"t"
"""A worker's first word on a call: what was lost before it was never begun."""
ITEM, END, FAILED = b"i", b"e", b"f"
"""The first byte of an answer: a reply, the end of them, an error instead of it."""


@dataclass(frozen=True)
class Call:
    """An rpc that somebody called."""

    application: str
    rpc: str
    caller: Caller
    request: bytes

    def to_bytes(self) -> bytes:
        """A line of JSON, then the request."""
        head = [self.application, self.rpc, self.caller.token, self.caller.language]
        return json.dumps(head).encode() + b"\n" + self.request

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        head, _, request = data.partition(b"\n")
        application, rpc, token, language = json.loads(head)
        return cls(application, rpc, Caller(token, language), request)

    @property
    def method(self) -> MethodDescriptor:
        """The rpc in the contract."""
        found: MethodDescriptor = SERVICES[self.application].descriptor.methods_by_name[self.rpc]
        return found

    def message(self) -> Message:
        """The request, parsed."""
        return message_factory.GetMessageClass(self.method.input_type).FromString(self.request)


def hang_up(link: Connection) -> None:
    """Close a link, also while a thread waits at it: what is only closed stays open then."""
    with suppress(OSError), socket.socket(fileno=os.dup(link.fileno())) as connection:
        connection.shutdown(socket.SHUT_RDWR)
    link.close()


def item(reply: Message) -> bytes:
    """An answer with a reply."""
    return ITEM + reply.SerializeToString()


def failed(failure: Failure) -> bytes:
    """An answer with an error."""
    trailing = [(key, b64encode(value).decode()) for key, value in failure.trailing]
    document = [failure.reason, failure.code, failure.sentence, trailing]
    return FAILED + json.dumps(document).encode()


def failure_from(data: bytes) -> Failure:
    """Read what `failed` wrote."""
    reason, code, sentence, trailing = json.loads(data[1:])
    return Failure(reason, code, sentence, tuple((key, b64decode(v)) for key, v in trailing))
