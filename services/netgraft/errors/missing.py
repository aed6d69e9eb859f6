"""What a request names does not exist."""

from netgraft.errors.base import NetgraftError
from netgraft.language import mark


class NotFound(NetgraftError):
    reason = "NOT_FOUND"
    template = mark("{what} was not found.")


class UnknownModel(NotFound):
    reason = "UNKNOWN_MODEL"
    template = mark("There is no model {name!r}. {hint} `netgraft models` lists what there is.")


class UnknownModule(NotFound):
    reason = "UNKNOWN_MODULE"
    template = mark("The model has no module {path!r}. Nearest: {nearest}.")


class UnknownClass(NotFound):
    reason = "UNKNOWN_CLASS"
    template = mark(
        "{model} knows no class {name!r}. Nearest: {nearest}. A class may also be given by its "
        "place, #0 to #{last}."
    )


class UnknownJob(NotFound):
    reason = "UNKNOWN_JOB"
    template = mark("There is no job {job!r}. `netgraft jobs` lists them.")


class DataNotFound(NotFound):
    reason = "DATA_NOT_FOUND"
    template = mark(
        "There is no data set or folder {data!r}. Give a folder below {roots}, or `digits`."
    )


class PictureNotFound(NotFound):
    reason = "PICTURE_NOT_FOUND"
    template = mark("There is no picture {data!r}. Give a file or a folder below {roots}.")


class NoSuchFile(NotFound):
    reason = "NO_SUCH_FILE"
    template = mark("There is no file {data!r}. Give a model's file below {roots}.")


class WrongApplication(NotFound):
    reason = "WRONG_APPLICATION"
    template = mark(
        "{method} is not an rpc of the application {application!r}. Call it with the metadata "
        "`application: {expected}`."
    )
