"""Every error a user can meet, in one tree, with one table to gRPC status.

    NetgraftError
    ├── InvalidRequest            INVALID_ARGUMENT
    │   ├── InvalidClasses
    │   ├── InvalidValue
    │   │   └── MeansNeeded
    │   ├── InvalidData
    │   │   ├── CannotMeasure
    │   │   └── PictureTooLarge
    │   ├── UnsupportedFile
    │   ├── WrongHash
    │   ├── NotAMessage
    │   ├── NoTokenInFile
    │   └── RequestIdReused
    ├── NotFound                  NOT_FOUND
    │   ├── UnknownModel
    │   ├── UnknownModule
    │   ├── UnknownClass
    │   ├── UnknownJob
    │   ├── DataNotFound
    │   ├── PictureNotFound
    │   ├── NoSuchFile
    │   └── WrongApplication
    ├── NotPossible               FAILED_PRECONDITION
    │   ├── WeightsUnavailable
    │   ├── CannotPrefetch
    │   ├── HeadMismatch
    │   ├── OtherClasses
    │   ├── LossMismatch
    │   ├── SurgeryFailed
    │   ├── EditFailed
    │   ├── CannotDraw
    │   ├── CannotExport
    │   ├── DetectorFormat
    │   ├── NothingToUndo
    │   ├── NothingTrains
    │   ├── JobNotRunning
    │   ├── JobNotResumable
    │   ├── ConsentNeeded
    │   ├── StepUnavailable
    │   ├── WouldOverwrite
    │   ├── NothingCurrent
    │   ├── UploadIncomplete
    │   ├── PackageMissing
    │   ├── NewerDatabase
    │   ├── NewerVersion
    │   ├── OnlyDrawn
    │   ├── AlreadyUp
    │   └── CannotStart
    ├── NotAllowed
    │   ├── Unauthenticated       UNAUTHENTICATED
    │   ├── OutsideDataRoots      PERMISSION_DENIED
    │   └── UnsafeFile            PERMISSION_DENIED
    ├── Exhausted                 RESOURCE_EXHAUSTED
    │   ├── DiskFull
    │   ├── OutOfMemory
    │   ├── TooLarge
    │   ├── MessageTooLarge
    │   ├── UploadsBusy
    │   └── NotEnoughWorkers
    ├── Unreachable               UNAVAILABLE
    │   ├── StillStarting
    │   ├── NotRunning
    │   ├── OtherVersion
    │   ├── PartLost
    │   └── NoAnswer              DEADLINE_EXCEEDED
    ├── UnknownMethod             UNIMPLEMENTED
    ├── AddressInUse              UNAVAILABLE
    ├── TooSlow                   DEADLINE_EXCEEDED
    ├── WorkerLost                ABORTED
    └── TrainingFailed            ABORTED

Each class has a constant `reason` and one English template, a sentence that says what to do; its
Chinese stands in the catalogue (`netgraft.language`). The templates are `str.format` templates over
the keyword arguments that the error is raised with. This package knows nothing of gRPC: the names
in STATUS are those of `grpc.StatusCode`.
"""

from netgraft.errors.base import NetgraftError
from netgraft.errors.broken import (
    AddressInUse,
    NoAnswer,
    NotRunning,
    OtherVersion,
    PartLost,
    StillStarting,
    TooSlow,
    TrainingFailed,
    UnknownMethod,
    Unreachable,
    WorkerLost,
)
from netgraft.errors.impossible import (
    AlreadyUp,
    CannotDraw,
    CannotExport,
    CannotPrefetch,
    CannotStart,
    ConsentNeeded,
    DetectorFormat,
    EditFailed,
    HeadMismatch,
    JobNotResumable,
    JobNotRunning,
    LossMismatch,
    NewerDatabase,
    NewerVersion,
    NothingCurrent,
    NothingToUndo,
    NothingTrains,
    NotPossible,
    OnlyDrawn,
    OtherClasses,
    PackageMissing,
    StepUnavailable,
    SurgeryFailed,
    UploadIncomplete,
    WeightsUnavailable,
    WouldOverwrite,
)
from netgraft.errors.missing import (
    DataNotFound,
    NoSuchFile,
    NotFound,
    PictureNotFound,
    UnknownClass,
    UnknownJob,
    UnknownModel,
    UnknownModule,
    WrongApplication,
)
from netgraft.errors.refused import (
    DiskFull,
    Exhausted,
    MessageTooLarge,
    NotAllowed,
    NotEnoughWorkers,
    OutOfMemory,
    OutsideDataRoots,
    TooLarge,
    Unauthenticated,
    UnsafeFile,
    UploadsBusy,
)
from netgraft.errors.request import (
    CannotMeasure,
    InvalidClasses,
    InvalidData,
    InvalidRequest,
    InvalidValue,
    MeansNeeded,
    NotAMessage,
    NoTokenInFile,
    PictureTooLarge,
    RequestIdReused,
    UnsupportedFile,
    WrongHash,
)
from netgraft.errors.status import STATUS, every_error, status_name
from netgraft.errors.stored import from_json, to_json

__all__ = [
    "STATUS",
    "AddressInUse",
    "AlreadyUp",
    "CannotDraw",
    "CannotExport",
    "CannotMeasure",
    "CannotPrefetch",
    "CannotStart",
    "ConsentNeeded",
    "DataNotFound",
    "DetectorFormat",
    "DiskFull",
    "EditFailed",
    "Exhausted",
    "HeadMismatch",
    "InvalidClasses",
    "InvalidData",
    "InvalidRequest",
    "InvalidValue",
    "JobNotResumable",
    "JobNotRunning",
    "LossMismatch",
    "MeansNeeded",
    "MessageTooLarge",
    "NetgraftError",
    "NewerDatabase",
    "NewerVersion",
    "NoAnswer",
    "NoSuchFile",
    "NoTokenInFile",
    "NotAMessage",
    "NotAllowed",
    "NotEnoughWorkers",
    "NotFound",
    "NotPossible",
    "NotRunning",
    "NothingCurrent",
    "NothingToUndo",
    "NothingTrains",
    "OnlyDrawn",
    "OtherClasses",
    "OtherVersion",
    "OutOfMemory",
    "OutsideDataRoots",
    "PackageMissing",
    "PartLost",
    "PictureNotFound",
    "PictureTooLarge",
    "RequestIdReused",
    "StepUnavailable",
    "StillStarting",
    "SurgeryFailed",
    "TooLarge",
    "TooSlow",
    "TrainingFailed",
    "Unauthenticated",
    "UnknownClass",
    "UnknownJob",
    "UnknownMethod",
    "UnknownModel",
    "UnknownModule",
    "Unreachable",
    "UnsafeFile",
    "UnsupportedFile",
    "UploadIncomplete",
    "UploadsBusy",
    "WeightsUnavailable",
    "WorkerLost",
    "WouldOverwrite",
    "WrongApplication",
    "WrongHash",
    "every_error",
    "from_json",
    "status_name",
    "to_json",
]
