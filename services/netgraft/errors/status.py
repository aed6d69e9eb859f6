"""The one table from errors to gRPC status. Knows the names of `grpc.StatusCode`, not gRPC."""

from netgraft.errors.base import NetgraftError
from netgraft.errors.broken import (
    AddressInUse,
    NoAnswer,
    TooSlow,
    TrainingFailed,
    UnknownMethod,
    Unreachable,
    WorkerLost,
)
from netgraft.errors.impossible import NotPossible
from netgraft.errors.missing import NotFound
from netgraft.errors.refused import Exhausted, NotAllowed, Unauthenticated
from netgraft.errors.request import InvalidRequest

STATUS: dict[type[NetgraftError], str] = {
    NetgraftError: "INTERNAL",
    InvalidRequest: "INVALID_ARGUMENT",
    NotFound: "NOT_FOUND",
    NotPossible: "FAILED_PRECONDITION",
    NotAllowed: "PERMISSION_DENIED",
    Unauthenticated: "UNAUTHENTICATED",
    Exhausted: "RESOURCE_EXHAUSTED",
    Unreachable: "UNAVAILABLE",
    NoAnswer: "DEADLINE_EXCEEDED",
    UnknownMethod: "UNIMPLEMENTED",
    AddressInUse: "UNAVAILABLE",
    TooSlow: "DEADLINE_EXCEEDED",
    TrainingFailed: "ABORTED",
    WorkerLost: "ABORTED",
}
"""The one table. A class that is not listed has the status of its nearest ancestor."""


def status_name(error: NetgraftError | type[NetgraftError]) -> str:
    """Name of the gRPC status code that an error maps to."""
    kind = error if isinstance(error, type) else type(error)
    return next(STATUS[ancestor] for ancestor in kind.__mro__ if ancestor in STATUS)


def every_error() -> list[type[NetgraftError]]:
    """All classes of the tree, parents before children."""

    def below(kind: type[NetgraftError]) -> list[type[NetgraftError]]:
        return [kind, *(leaf for child in kind.__subclasses__() for leaf in below(child))]

    return below(NetgraftError)
