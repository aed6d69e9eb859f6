"""The request itself is at fault: its values, its files, its data."""

from netgraft.errors.base import NetgraftError
from netgraft.language import mark


class InvalidRequest(NetgraftError):
    reason = "INVALID_REQUEST"
    template = mark("The request is not valid: {problem}")


class InvalidClasses(InvalidRequest):
    reason = "INVALID_CLASSES"
    template = mark(
        "A head needs between 1 and 1,000,000 classes, not {classes}. Say how many, such as 10."
    )


class InvalidValue(InvalidRequest):
    reason = "INVALID_VALUE"
    template = mark("{name} cannot be {value}: {expected}.")


class MeansNeeded(InvalidValue):
    reason = "MEANS_NEEDED"
    template = mark("`--data` is needed with `--init class_means` (and only then).")


class InvalidData(InvalidRequest):
    reason = "INVALID_DATA"
    template = mark("The data set {data} cannot be trained on: {problem}")


class CannotMeasure(InvalidData):
    reason = "CANNOT_MEASURE"
    template = mark("Nothing can be measured on {data}: {problem}")


class PictureTooLarge(InvalidData):
    reason = "PICTURE_TOO_LARGE"
    template = mark(
        "The picture {path} is {size} large, and at most {limit} MP are decoded. Make it smaller, "
        "or allow more with NETGRAFT_PICTURE_MEGAPIXELS where the server starts."
    )


class UnsupportedFile(InvalidRequest):
    reason = "UNSUPPORTED_FILE"
    template = mark("{path} cannot be opened as a model: {problem}")


class WrongHash(InvalidRequest):
    reason = "WRONG_HASH"
    template = mark(
        "What arrived of {name} is not the file that was announced: its SHA-256 is {found}. "
        "Nothing was kept; send it again."
    )


class NotAMessage(InvalidRequest):
    reason = "NOT_A_MESSAGE"
    template = mark(
        "The bytes that were sent are not a message that {method} takes. Build the client from "
        "this version's .proto files."
    )


class NoTokenInFile(InvalidRequest):
    reason = "NO_TOKEN_IN_FILE"
    template = mark(
        "No token can be read from {path}, which NETGRAFT_TOKEN_FILE names. Write the token into "
        "that file, readable by you, or unset the variable."
    )


class RequestIdReused(InvalidRequest):
    reason = "REQUEST_ID_REUSED"
    template = mark(
        "The request_id {id} was used for another {rpc} less than a day ago. A new request needs a "
        "new id, such as a UUID; only the same request may be sent again with the same one."
    )
