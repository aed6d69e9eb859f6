"""Every error a user can meet, in one tree, with one table to gRPC status.

    NetgraftError
    ├── InvalidRequest            INVALID_ARGUMENT
    │   ├── InvalidClasses
    │   ├── InvalidValue
    │   ├── InvalidData
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
    │   ├── NoSuchFile
    │   └── WrongApplication
    ├── NotPossible               FAILED_PRECONDITION
    │   ├── WeightsUnavailable
    │   ├── CannotPrefetch
    │   ├── HeadMismatch
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
    │   ├── NewerVersion
    │   ├── NewerDatabase
    │   ├── OnlyDrawn
    │   └── CannotStart
    ├── NotAllowed
    │   ├── Unauthenticated       UNAUTHENTICATED
    │   ├── OutsideDataRoots      PERMISSION_DENIED
    │   └── UnsafeFile            PERMISSION_DENIED
    ├── Exhausted                 RESOURCE_EXHAUSTED
    │   ├── DiskFull
    │   ├── TooLarge
    │   ├── MessageTooLarge
    │   ├── UploadsBusy
    │   └── NotEnoughWorkers
    ├── Unreachable               UNAVAILABLE
    │   ├── StillStarting
    │   ├── NotRunning
    │   ├── OtherVersion
    │   └── NoAnswer              DEADLINE_EXCEEDED
    ├── UnknownMethod             UNIMPLEMENTED
    ├── AddressInUse              UNAVAILABLE
    ├── TooSlow                   DEADLINE_EXCEEDED
    └── TrainingFailed            ABORTED

Each class has a constant `reason` and a sentence in English and in Chinese that
says what to do. The sentences are `str.format` templates over the keyword
arguments that the error is raised with. This module knows nothing of gRPC:
the names in STATUS are those of `grpc.StatusCode`.
"""

from typing import ClassVar

LONGEST_VALUE = 400
"""Characters of a value that a sentence repeats: it is sent in a header, and those are short."""


class NetgraftError(Exception):
    """An error that a user can meet.

    Raise a leaf of the tree with the values its sentence needs:
    `raise UnknownModel(name="resnet500", hint="resnet50, resnet101")`.
    """

    reason: ClassVar[str] = "INTERNAL"
    en: ClassVar[str] = "Something went wrong inside netgraft; the server's log tells more."
    zh: ClassVar[str] = "netgraft 内部出错；详情见服务器日志。"

    def __init__(self, **values: object) -> None:
        self.values = values
        super().__init__(self.sentence())

    def sentence(self, language: str = "en") -> str:
        """The error in words, in "en" or "zh" (any other language: English)."""
        template = self.zh if language.startswith("zh") else self.en
        return template.format(**{name: _short(value) for name, value in self.values.items()})

    def __reduce__(self) -> tuple[object, ...]:
        return _remake, (type(self), self.values)


def _short(value: object) -> object:
    if isinstance(value, str) and len(value) > LONGEST_VALUE:
        return value[: LONGEST_VALUE - 1] + "…"
    return value


def _remake(kind: type[NetgraftError], values: dict[str, object]) -> NetgraftError:
    return kind(**values)


class InvalidRequest(NetgraftError):
    reason = "INVALID_REQUEST"
    en = "The request is not valid: {problem}"
    zh = "请求无效：{problem}"


class InvalidClasses(InvalidRequest):
    reason = "INVALID_CLASSES"
    en = "A head needs between 1 and 1,000,000 classes, not {classes}. Say how many, such as 10."
    zh = "分类数必须在 1 到 1,000,000 之间，不能是 {classes}。请给出类别数，例如 10。"


class InvalidValue(InvalidRequest):
    reason = "INVALID_VALUE"
    en = "{name} cannot be {value}: {expected}."
    zh = "{name} 不能是 {value}：应为 {expected}。"


class InvalidData(InvalidRequest):
    reason = "INVALID_DATA"
    en = "The data set {data} cannot be trained on: {problem}"
    zh = "数据集 {data} 无法用于训练：{problem}"


class PictureTooLarge(InvalidData):
    reason = "PICTURE_TOO_LARGE"
    en = (
        "The picture {path} is {size} large, and at most {limit} MP are decoded. Make it smaller, "
        "or allow more with NETGRAFT_PICTURE_MEGAPIXELS where the server starts."
    )
    zh = (
        "图片 {path} 的大小为 {size}，最多只解码 {limit} MP。请缩小图片，"
        "或在启动服务器时用 NETGRAFT_PICTURE_MEGAPIXELS 放宽限制。"
    )


class UnsupportedFile(InvalidRequest):
    reason = "UNSUPPORTED_FILE"
    en = "{path} cannot be opened as a model: {problem}"
    zh = "无法把 {path} 作为模型打开：{problem}"


class WrongHash(InvalidRequest):
    reason = "WRONG_HASH"
    en = (
        "What arrived of {name} is not the file that was announced: its SHA-256 is {found}. "
        "Nothing was kept; send it again."
    )
    zh = "收到的 {name} 与所声明的文件不符：其 SHA-256 为 {found}。未保留任何内容，请重新发送。"


class NotAMessage(InvalidRequest):
    reason = "NOT_A_MESSAGE"
    en = (
        "The bytes that were sent are not a message that {method} takes. Build the client from "
        "this version's .proto files."
    )
    zh = "发送的字节不是 {method} 所需的消息。请用此版本的 .proto 文件生成客户端。"


class NoTokenInFile(InvalidRequest):
    reason = "NO_TOKEN_IN_FILE"
    en = (
        "No token can be read from {path}, which NETGRAFT_TOKEN_FILE names. Write the token into "
        "that file, readable by you, or unset the variable."
    )
    zh = (
        "无法从 NETGRAFT_TOKEN_FILE 所指的 {path} 读取令牌。"
        "请把令牌写入该文件并确保可读，或取消该变量。"
    )


class RequestIdReused(InvalidRequest):
    reason = "REQUEST_ID_REUSED"
    en = (
        "The request_id {id} was used for another {rpc} less than a day ago. A new request needs a "
        "new id, such as a UUID; only the same request may be sent again with the same one."
    )
    zh = (
        "request_id {id} 在一天内已用于另一个 {rpc} 请求。新的请求需要新的 id（例如 UUID）；"
        "只有重发同一请求时才能使用同一个 id。"
    )


class NotFound(NetgraftError):
    reason = "NOT_FOUND"
    en = "{what} was not found."
    zh = "未找到 {what}。"


class UnknownModel(NotFound):
    reason = "UNKNOWN_MODEL"
    en = "There is no model {name!r}. {hint} `netgraft models` lists what there is."
    zh = "没有名为 {name!r} 的模型。{hint} 用 `netgraft models` 查看所有模型。"


class UnknownModule(NotFound):
    reason = "UNKNOWN_MODULE"
    en = "The model has no module {path!r}. Nearest: {nearest}."
    zh = "模型中没有模块 {path!r}。最接近的是：{nearest}。"


class UnknownClass(NotFound):
    reason = "UNKNOWN_CLASS"
    en = (
        "{model} knows no class {name!r}. Nearest: {nearest}. A class may also be given by its "
        "place, #0 to #{last}."
    )
    zh = (
        "{model} 没有名为 {name!r} 的类别。最接近的是：{nearest}。"
        "也可以用序号指定类别：#0 到 #{last}。"
    )


class UnknownJob(NotFound):
    reason = "UNKNOWN_JOB"
    en = "There is no job {job!r}. `netgraft jobs` lists them."
    zh = "没有任务 {job!r}。用 `netgraft jobs` 查看所有任务。"


class DataNotFound(NotFound):
    reason = "DATA_NOT_FOUND"
    en = "There is no data set or folder {data!r}. Give a folder below {roots}, or `digits`."
    zh = "没有数据集或文件夹 {data!r}。请给出 {roots} 下的文件夹，或使用 `digits`。"


class NoSuchFile(NotFound):
    reason = "NO_SUCH_FILE"
    en = "There is no file {data!r}. Give a model's file below {roots}."
    zh = "没有文件 {data!r}。请给出 {roots} 下的模型文件。"


class WrongApplication(NotFound):
    reason = "WRONG_APPLICATION"
    en = (
        "{method} is not an rpc of the application {application!r}. Call it with the metadata "
        "`application: {expected}`."
    )
    zh = "{method} 不属于应用 {application!r}。请在调用时附上元数据 `application: {expected}`。"


class NotPossible(NetgraftError):
    reason = "NOT_POSSIBLE"
    en = "That is not possible now: {problem}"
    zh = "当前无法执行：{problem}"


class WeightsUnavailable(NotPossible):
    reason = "WEIGHTS_UNAVAILABLE"
    en = (
        "The pretrained weights of {model} are not on this machine and could not be downloaded "
        "({problem}). Connect to the network, put {file} into {folder}, or go on from random "
        "weights with `--weights none`."
    )
    zh = (
        "本机没有 {model} 的预训练权重，也无法下载（{problem}）。请连接网络，"
        "或把 {file} 放入 {folder}，或用 `--weights none` 从随机权重开始。"
    )


class CannotPrefetch(NotPossible):
    reason = "CANNOT_PREFETCH"
    en = (
        "The weights of {model} could not be downloaded ({problem}). On disk are: {present}. "
        "Connect to the network, name a proxy or a mirror (HTTPS_PROXY, HF_ENDPOINT, "
        "NETGRAFT_TORCH_MIRROR), or put {file} into {folder}; what has arrived is kept, and the "
        "same command goes on from it."
    )
    zh = (
        "无法下载 {model} 的权重（{problem}）。本机已有：{present}。请连接网络，"
        "设置代理或镜像（HTTPS_PROXY、HF_ENDPOINT、NETGRAFT_TORCH_MIRROR），"
        "或把 {file} 放入 {folder}；已下载的部分会保留，重新运行即可续传。"
    )


class HeadMismatch(NotPossible):
    reason = "HEAD_MISMATCH"
    en = (
        "The model tells {model_classes} classes apart, but {data} has {data_classes}. "
        "Retarget it first: `netgraft retarget {model} --classes {data_classes}`."
    )
    zh = (
        "模型有 {model_classes} 个类别，而 {data} 有 {data_classes} 个。"
        "请先改头：`netgraft retarget {model} --classes {data_classes}`。"
    )


class LossMismatch(NotPossible):
    reason = "LOSS_MISMATCH"
    en = (
        "The loss {loss} does not fit what {model} answers: its outputs have been through a "
        "{activation}. Losses that fit: {fitting}. For any other, put Identity in the place of "
        "that layer first (`netgraft replace`)."
    )
    zh = (
        "损失 {loss} 不适合 {model} 的输出：输出已经过 {activation}。适合的损失：{fitting}。"
        "若要使用其他损失，请先把该层替换为 Identity（`netgraft replace`）。"
    )


class SurgeryFailed(NotPossible):
    reason = "SURGERY_FAILED"
    en = "The head of {model} could not be replaced, and nothing was changed: {problem}"
    zh = "无法替换 {model} 的分类头，模型未被改动：{problem}"


class EditFailed(NotPossible):
    reason = "EDIT_FAILED"
    en = "{what} cannot be done to {model}, and nothing was changed: {problem}"
    zh = "无法对 {model} 执行 {what}，模型未被改动：{problem}"


class CannotDraw(NotPossible):
    reason = "CANNOT_DRAW"
    en = "{model} cannot be drawn: {problem}"
    zh = "无法绘制 {model}：{problem}"


class CannotExport(NotPossible):
    reason = "CANNOT_EXPORT"
    en = "{model} cannot be exported as {format}: {problem}"
    zh = "无法把 {model} 导出为 {format}：{problem}"


class DetectorFormat(NotPossible):
    reason = "DETECTOR_FORMAT"
    en = (
        "{model} finds objects: it takes a list of pictures and gives as many boxes as it sees, "
        "which a file of the format {format} cannot hold. Take {others} instead."
    )
    zh = (
        "{model} 用于检测目标：输入是图片列表，输出的框数随内容而变，{format} 格式的文件无法表示。"
        "请改用 {others}。"
    )


class NothingToUndo(NotPossible):
    reason = "NOTHING_TO_UNDO"
    en = "{model} has no edit to undo: it is the base model."
    zh = "{model} 没有可撤销的修改：它是基础模型。"


class NothingTrains(NotPossible):
    reason = "NOTHING_TRAINS"
    en = "Every layer of {model} is frozen, so nothing would train. Unfreeze the head first."
    zh = "{model} 的所有层都已冻结，无可训练。请先解冻分类头。"


class JobNotRunning(NotPossible):
    reason = "JOB_NOT_RUNNING"
    en = "Job {job} is not running: it is {state}."
    zh = "任务 {job} 未在运行，状态为 {state}。"


class JobNotResumable(NotPossible):
    reason = "JOB_NOT_RESUMABLE"
    en = "Job {job} cannot be resumed: it is {state}. Only cancelled or failed jobs can."
    zh = "任务 {job} 无法恢复，状态为 {state}。只有已取消或失败的任务可以恢复。"


class ConsentNeeded(NotPossible):
    reason = "CONSENT_NEEDED"
    en = "This plan costs time and needs your consent: {problem} Look at the plan and agree to it."
    zh = "该计划耗费资源，需要您的同意：{problem} 请查看计划后确认。"


class StepUnavailable(NotPossible):
    reason = "STEP_UNAVAILABLE"
    en = "The step {step!r} is understood but this version of netgraft cannot carry it out."
    zh = "已理解步骤 {step!r}，但此版本的 netgraft 尚不能执行。"


class WouldOverwrite(NotPossible):
    reason = "WOULD_OVERWRITE"
    en = "{path} exists already. Add --force to overwrite it."
    zh = "{path} 已存在。加 --force 可覆盖。"


class NothingCurrent(NotPossible):
    reason = "NOTHING_CURRENT"
    en = "Which {what}? This conversation has none yet: name one."
    zh = "哪一个{what}？本次对话中还没有：请指明。"


class UploadIncomplete(NotPossible):
    reason = "UPLOAD_INCOMPLETE"
    en = "Of {name}, {received} of {size} bytes have arrived. Send it again: it goes on there."
    zh = "{name} 已收到 {received} / {size} 字节。请重新发送，将从断点继续。"


class PackageMissing(NotPossible):
    reason = "PACKAGE_MISSING"
    en = (
        "{what} needs {package}, which is not installed: `pip install 'netgraft[{extra}]'` there "
        "where the services run."
    )
    zh = "{what} 需要 {package}，服务器上没有安装：请在那里运行 `pip install 'netgraft[{extra}]'`。"


class NewerVersion(NotPossible):
    reason = "NEWER_VERSION"
    en = (
        "The new layers of this model were drawn by a newer netgraft (formula {version}). "
        "Update this one: `pip install -U netgraft`."
    )
    zh = (
        "该模型的新层由更新版本的 netgraft 生成（公式版本 {version}）。"
        "请升级：`pip install -U netgraft`。"
    )


class NewerDatabase(NotPossible):
    reason = "NEWER_DATABASE"
    en = (
        "The database {database} was written by a newer netgraft (schema {revision}; this one "
        "knows {known}). Update this one: `pip install -U netgraft`."
    )
    zh = (
        "数据库 {database} 由更新版本的 netgraft 写入（结构版本 {revision}，"
        "当前版本只支持到 {known}）。"
        "请升级：`pip install -U netgraft`。"
    )


class OnlyDrawn(NotPossible):
    reason = "ONLY_DRAWN"
    en = (
        "{name} ({kind}) can be shown, but not edited, trained or exported. For that, give a whole "
        "model whose layers are torch's, torchvision's or timm's, or a state_dict that fits a "
        "model of the zoo."
    )
    zh = (
        "{name}（{kind}）只能查看，不能编辑、训练或导出。如有需要，请提供由 torch、torchvision "
        "或 timm 的层组成的完整模型，或与模型库中某个模型一致的 state_dict。"
    )


class CannotStart(NotPossible):
    reason = "CANNOT_START"
    en = "netgraft did not start, or a part of it ended; see {log}."
    zh = "netgraft 未能启动，或其中一部分已退出；详见 {log}。"


class NotAllowed(NetgraftError):
    reason = "NOT_ALLOWED"
    en = "That is not allowed: {problem}"
    zh = "不允许：{problem}"


class Unauthenticated(NotAllowed):
    reason = "UNAUTHENTICATED"
    en = "A valid token is needed. `netgraft token` on the server's machine prints it."
    zh = "需要有效的令牌。在服务器上运行 `netgraft token` 可查看。"


class OutsideDataRoots(NotAllowed):
    reason = "OUTSIDE_DATA_ROOTS"
    en = (
        "{path!r} is outside the folders that netgraft may read ({roots}). Put it below one of "
        "them, or name its folder in NETGRAFT_DATA_ROOTS where netgraft is started."
    )
    zh = (
        "{path!r} 不在 netgraft 允许读取的文件夹内（{roots}）。请把它放到其中之一，"
        "或在启动 netgraft 时用 NETGRAFT_DATA_ROOTS 指定它所在的文件夹。"
    )


class UnsafeFile(NotAllowed):
    reason = "UNSAFE_FILE"
    en = (
        "{name} was not opened: it asks for {classes}, and a pickle may only ask for what is known "
        "to be safe in torch, torchvision and timm. Save the state_dict instead: "
        "torch.save(model.state_dict(), FILE)."
    )
    zh = (
        "没有打开 {name}：它要求加载 {classes}，而 pickle 只能使用 torch、torchvision 和 timm 中"
        "已知安全的类。请改存 state_dict：torch.save(model.state_dict(), FILE)。"
    )


class Exhausted(NetgraftError):
    reason = "EXHAUSTED"
    en = "There is not enough of a resource: {problem}"
    zh = "资源不足：{problem}"


class DiskFull(Exhausted):
    reason = "DISK_FULL"
    en = "The disk that holds {folder} is full. Free some space; nothing stored before is lost."
    zh = "{folder} 所在磁盘已满。请释放空间；此前保存的内容没有丢失。"


class TooLarge(Exhausted):
    reason = "TOO_LARGE"
    en = "{what} is too large: at most {limit}."
    zh = "{what} 过大：最多 {limit}。"


class MessageTooLarge(Exhausted):
    reason = "MESSAGE_TOO_LARGE"
    en = (
        "A message to the server may have at most {limit}. `netgraft upload FILE` sends a larger "
        "file in parts."
    )
    zh = "发给服务器的消息最大为 {limit}。较大的文件请用 `netgraft upload FILE` 分段发送。"


class UploadsBusy(Exhausted):
    reason = "UPLOADS_BUSY"
    en = (
        "Other uploads are in progress: at most {each} of yours, and {total} in all, are taken at "
        "a time. Try again in {seconds} s."
    )
    zh = "正在处理其他上传：每人最多同时 {each} 个，总共最多 {total} 个。请在 {seconds} 秒后重试。"


class NotEnoughWorkers(Exhausted):
    reason = "NOT_ENOUGH_WORKERS"
    en = "{asked} workers on {device} were asked for, but there are {available}. Ask for fewer."
    zh = "请求了 {asked} 个 {device} 工作进程，但只有 {available} 个。请减少数量。"


class Unreachable(NetgraftError):
    reason = "UNREACHABLE"
    en = "No netgraft server answers at {address}. Start one with `netgraft up`."
    zh = "{address} 上没有 netgraft 服务器响应。请用 `netgraft up` 启动。"


class StillStarting(Unreachable):
    reason = "STILL_STARTING"
    en = "The application {application!r} is not up yet. Try again in a few seconds."
    zh = "应用 {application!r} 尚未就绪。请几秒后重试。"


class NotRunning(Unreachable):
    reason = "NOT_RUNNING"
    en = (
        "No netgraft is running with the state in {folder}, and this needs one. Start it with "
        "`netgraft up`, or name a server with `--server HOST:PORT`."
    )
    zh = (
        "没有使用状态文件夹 {folder} 的 netgraft 在运行，而此操作需要它。"
        "请运行 `netgraft up`，或用 `--server 主机:端口` 指定服务器。"
    )


class OtherVersion(Unreachable):
    reason = "OTHER_VERSION"
    en = (
        "The netgraft at {address} is version {version}, and this is {own}. Restart `netgraft up` "
        "to use it."
    )
    zh = "{address} 上的 netgraft 版本为 {version}，此处为 {own}。请重启 `netgraft up` 后使用。"


class NoAnswer(Unreachable):
    reason = "NO_ANSWER"
    en = (
        "The netgraft server at {address} did not answer within {seconds} s. `netgraft doctor` "
        "says how it is; if it hangs, end it and run `netgraft up` again."
    )
    zh = (
        "{address} 上的 netgraft 服务器在 {seconds} 秒内没有回应。请用 `netgraft doctor` 检查；"
        "如果它已卡住，请结束它并重新运行 `netgraft up`。"
    )


class UnknownMethod(NetgraftError):
    reason = "UNKNOWN_METHOD"
    en = "This server has no rpc {method}. Use a client and a server of the same version."
    zh = "此服务器没有 rpc {method}。请使用相同版本的客户端和服务器。"


class AddressInUse(NetgraftError):
    reason = "ADDRESS_IN_USE"
    en = "Port {port} is in use. Stop what uses it, or choose another with {variable}=PORT."
    zh = "端口 {port} 已被占用。请停止占用它的程序，或用 {variable}=端口 另选一个。"


class TooSlow(NetgraftError):
    reason = "TOO_SLOW"
    en = "Too little of the request arrived within {seconds} s. Send it again."
    zh = "{seconds} 秒内收到的数据过少。请重新发送。"


class TrainingFailed(NetgraftError):
    reason = "TRAINING_FAILED"
    en = "The training stopped: {problem}"
    zh = "训练已停止：{problem}"


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
