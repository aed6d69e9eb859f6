"""What netgraft may not do, and what it has too little of."""

from netgraft.errors.base import NetgraftError
from netgraft.language import mark


class NotAllowed(NetgraftError):
    reason = "NOT_ALLOWED"
    template = mark("That is not allowed: {problem}")


class Unauthenticated(NotAllowed):
    reason = "UNAUTHENTICATED"
    template = mark("A valid token is needed. `netgraft token` on the server's machine prints it.")


class OutsideDataRoots(NotAllowed):
    reason = "OUTSIDE_DATA_ROOTS"
    template = mark(
        "{path!r} is outside the folders that netgraft may read ({roots}). Put it below one of "
        "them, or name its folder in NETGRAFT_DATA_ROOTS where netgraft is started."
    )


class UnsafeFile(NotAllowed):
    reason = "UNSAFE_FILE"
    template = mark(
        "{name} was not opened: it asks for {classes}, and a pickle may only ask for what is known "
        "to be safe in torch, torchvision and timm. Save the state_dict instead: "
        "torch.save(model.state_dict(), FILE)."
    )


class Exhausted(NetgraftError):
    reason = "EXHAUSTED"
    template = mark("There is not enough of a resource: {problem}")


class DiskFull(Exhausted):
    reason = "DISK_FULL"
    template = mark(
        "The disk that holds {folder} is full. Free some space; nothing stored before is lost."
    )


class OutOfMemory(Exhausted):
    reason = "OUT_OF_MEMORY"
    template = mark(
        "This machine has too little memory for it. Nothing else is affected; choose a smaller "
        "model, or end what else uses memory."
    )


class TooLarge(Exhausted):
    reason = "TOO_LARGE"
    template = mark("{what} is too large: at most {limit}.")


class MessageTooLarge(Exhausted):
    reason = "MESSAGE_TOO_LARGE"
    template = mark(
        "A message to the server may have at most {limit}. `netgraft upload FILE` sends a larger "
        "file in parts."
    )


class UploadsBusy(Exhausted):
    reason = "UPLOADS_BUSY"
    template = mark(
        "Other uploads are in progress: at most {each} of yours, and {total} in all, are taken at "
        "a time. Try again in {seconds} s."
    )


class NotEnoughWorkers(Exhausted):
    reason = "NOT_ENOUGH_WORKERS"
    template = mark(
        "{asked} workers on {device} were asked for, but there are {available}. Ask for fewer."
    )
