"""The request is well formed, but cannot be carried out as things stand."""

from netgraft.errors.base import NetgraftError
from netgraft.language import mark


class NotPossible(NetgraftError):
    reason = "NOT_POSSIBLE"
    template = mark("That is not possible now: {problem}")


class WeightsUnavailable(NotPossible):
    reason = "WEIGHTS_UNAVAILABLE"
    template = mark(
        "The pretrained weights of {model} are not on this machine and could not be downloaded "
        "({problem}). Connect to the network, put {file} into {folder}, or go on from random "
        "weights with `--weights none`."
    )


class CannotPrefetch(NotPossible):
    reason = "CANNOT_PREFETCH"
    template = mark(
        "The weights of {model} could not be downloaded ({problem}). On disk are: {present}. "
        "Connect to the network, name a proxy or a mirror (HTTPS_PROXY, HF_ENDPOINT, "
        "NETGRAFT_TORCH_MIRROR), or put {file} into {folder}; what has arrived is kept, and the "
        "same command goes on from it."
    )


class HeadMismatch(NotPossible):
    reason = "HEAD_MISMATCH"
    template = mark(
        "The model tells {model_classes} classes apart, but {data} has {data_classes}. "
        "Retarget it first: `netgraft retarget {model} --classes {data_classes}`."
    )


class OtherClasses(NotPossible):
    reason = "OTHER_CLASSES"
    template = mark(
        "The model tells {model_classes} apart, but {data} has {data_classes}. Classes are matched "
        "by name; retarget the model to these: `netgraft retarget {model} --class-names {names}`."
    )


class LossMismatch(NotPossible):
    reason = "LOSS_MISMATCH"
    template = mark(
        "The loss {loss} does not fit what {model} answers: its outputs have been through a "
        "{activation}. Losses that fit: {fitting}. For any other, put Identity in the place of "
        "that layer first (`netgraft replace`)."
    )


class SurgeryFailed(NotPossible):
    reason = "SURGERY_FAILED"
    template = mark("The head of {model} could not be replaced, and nothing was changed: {problem}")


class EditFailed(NotPossible):
    reason = "EDIT_FAILED"
    template = mark("{what} cannot be done to {model}, and nothing was changed: {problem}")


class CannotDraw(NotPossible):
    reason = "CANNOT_DRAW"
    template = mark("{model} cannot be drawn: {problem}")


class CannotExport(NotPossible):
    reason = "CANNOT_EXPORT"
    template = mark("{model} cannot be exported as {format}: {problem}")


class DetectorFormat(NotPossible):
    reason = "DETECTOR_FORMAT"
    template = mark(
        "{model} finds objects: it takes a list of pictures and gives as many boxes as it sees, "
        "which a file of the format {format} cannot hold. Take {others} instead."
    )


class NothingToUndo(NotPossible):
    reason = "NOTHING_TO_UNDO"
    template = mark("{model} has no edit to undo: it is the base model.")


class NothingTrains(NotPossible):
    reason = "NOTHING_TRAINS"
    template = mark(
        "Every layer of {model} is frozen, so nothing would train. Unfreeze the head first."
    )


class JobNotRunning(NotPossible):
    reason = "JOB_NOT_RUNNING"
    template = mark("Job {job} is not running: it is {state}.")


class JobNotResumable(NotPossible):
    reason = "JOB_NOT_RESUMABLE"
    template = mark(
        "Job {job} cannot be resumed: it is {state}. Those that were cancelled, failed or were "
        "paused can; one that succeeded is trained further by `netgraft resume {job} --epochs 5`."
    )


class ConsentNeeded(NotPossible):
    reason = "CONSENT_NEEDED"
    template = mark(
        "This plan costs time and needs your consent: {problem} Look at the plan and agree to it."
    )


class StepUnavailable(NotPossible):
    reason = "STEP_UNAVAILABLE"
    template = mark(
        "The step {step!r} is understood but this version of netgraft cannot carry it out."
    )


class WouldOverwrite(NotPossible):
    reason = "WOULD_OVERWRITE"
    template = mark("{path} exists already. Add --force to overwrite it.")


class NothingCurrent(NotPossible):
    reason = "NOTHING_CURRENT"
    template = mark("Which {what}? This conversation has none yet: name one.")


class UploadIncomplete(NotPossible):
    reason = "UPLOAD_INCOMPLETE"
    template = mark(
        "Of {name}, {received} of {size} bytes have arrived. Send it again: it goes on there."
    )


class PackageMissing(NotPossible):
    reason = "PACKAGE_MISSING"
    template = mark(
        "{what} needs {package}, which is not installed: `pip install 'netgraft[{extra}]'` there "
        "where the services run."
    )


class NewerDatabase(NotPossible):
    reason = "NEWER_DATABASE"
    template = mark(
        "The database {database} was written by a newer netgraft (schema {revision}; this one "
        "knows {known}). Update this one: `pip install -U netgraft`."
    )


class NewerVersion(NotPossible):
    reason = "NEWER_VERSION"
    template = mark(
        "The new layers of this model were drawn by a newer netgraft (formula {version}). "
        "Update this one: `pip install -U netgraft`."
    )


class OnlyDrawn(NotPossible):
    reason = "ONLY_DRAWN"
    template = mark(
        "{name} ({kind}) can be shown, but not edited, trained or exported. For that, give a whole "
        "model whose layers are torch's, torchvision's or timm's, or a state_dict that fits a "
        "model of the zoo."
    )


class AlreadyUp(NotPossible):
    reason = "ALREADY_UP"
    template = mark(
        "netgraft runs already with the state in {folder}: it answers at {address} (process "
        "{pid}). Use that one, end it, or choose another folder with NETGRAFT_STATE=FOLDER."
    )


class CannotStart(NotPossible):
    reason = "CANNOT_START"
    template = mark("netgraft did not start, or a part of it ended; see {log}.")
