"""The server cannot be reached or talked to, or a run ended early."""

from netgraft.errors.base import NetgraftError
from netgraft.language import mark


class Unreachable(NetgraftError):
    reason = "UNREACHABLE"
    template = mark("No netgraft server answers at {address}. Start one with `netgraft up`.")


class StillStarting(Unreachable):
    reason = "STILL_STARTING"
    template = mark("The application {application!r} is not up yet. Try again in a few seconds.")


class NotRunning(Unreachable):
    reason = "NOT_RUNNING"
    template = mark(
        "No netgraft is running with the state in {folder}, and this needs one. Start it with "
        "`netgraft up`, or name a server with `--server HOST:PORT`."
    )


class OtherVersion(Unreachable):
    reason = "OTHER_VERSION"
    template = mark(
        "The netgraft at {address} is version {version}, and this is {own}. Restart `netgraft up` "
        "to use it."
    )


class NoAnswer(Unreachable):
    reason = "NO_ANSWER"
    template = mark(
        "The netgraft server at {address} did not answer within {seconds} s. `netgraft doctor` "
        "says how it is; if it hangs, end it and run `netgraft up` again."
    )


class UnknownMethod(NetgraftError):
    reason = "UNKNOWN_METHOD"
    template = mark(
        "This server has no rpc {method}. Use a client and a server of the same version."
    )


class AddressInUse(NetgraftError):
    reason = "ADDRESS_IN_USE"
    template = mark(
        "Port {port} is in use. Stop what uses it, or choose another with {variable}=PORT."
    )


class PartLost(Unreachable):
    reason = "PART_LOST"
    template = mark(
        "Ray's {part} has ended or hangs, and Ray does not bring it back. Start `netgraft up "
        "--engine ray` again: jobs go on from their last checkpoints."
    )


class WorkerLost(NetgraftError):
    reason = "WORKER_LOST"
    template = mark(
        "The process that worked on this ended before it was done: it was killed, or a damaged "
        "file brought it down. Nothing else is affected; try again."
    )


class TooSlow(NetgraftError):
    reason = "TOO_SLOW"
    template = mark("Too little of the request arrived within {seconds} s. Send it again.")


class TrainingFailed(NetgraftError):
    reason = "TRAINING_FAILED"
    template = mark("The training stopped: {problem}")
