"""Whatever stands in a field of a request, the answer says what is wrong with it.

Every field of every rpc and of every step of a plan, as the contract's descriptors list
them, takes values that no client of ours would send. The rest of the request is valid, so
that what is behind the first check is reached too.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, MutableSequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from PIL import Image

from netgraft.client import Client, RemoteError
from netgraft.errors import NetgraftError, TrainingFailed
from netgraft.serving.services import SERVICES
from netgraft.store.store import default_store
from netgraft.tuning.jobs.job import State
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.v1 import agent_pb2, surgery_pb2, tuning_pb2

from .server import serving

TINY = "timm/test_resnet@none"
PATIENCE = 60.0
"""Seconds for one call; a quiet machine takes a fraction of one."""
OURS = {"INTERNAL", "UNKNOWN", "UNIMPLEMENTED", "DEADLINE_EXCEEDED", "ABORTED"}
"""Codes and reasons that say that it was the server's fault."""

TEXTS = (
    " ",
    "\0",
    "a\nb\x1b[31m\x7f",
    "x" * 5_000,
    "../../etc/passwd",
    "{0} {problem} %s",
    "运行中🦊\u202e",
    "-1",
    "nan",
    "[",
    "$99999999999999999999",
    "~nobody/x.pth",
    "./a\0b.pth",
    "./" + "y" * 300 + ".onnx",
    "hf/../../x",
    "#-1",
    "timm/",
    "@",
)
WHOLE_NUMBERS = (-(2**63), -1, 0, 2**63 - 1)
NUMBERS = (float("nan"), float("inf"), float("-inf"), -1.0, 0.0, 1e308, 5e-324)
HOSTILE: dict[int, tuple[Any, ...]] = {
    FieldDescriptor.TYPE_STRING: TEXTS,
    FieldDescriptor.TYPE_INT64: WHOLE_NUMBERS,
    FieldDescriptor.TYPE_INT32: (-(2**31), -1, 0, 2**31 - 1),
    FieldDescriptor.TYPE_DOUBLE: NUMBERS,
    FieldDescriptor.TYPE_ENUM: (999, -1, 2**31 - 1),
    FieldDescriptor.TYPE_BOOL: (True,),
    FieldDescriptor.TYPE_BYTES: (b"", b"\0" * 100),
}

STEPS = {
    "show": {"model": TINY},
    "compare": {"a": TINY, "b": TINY},
    "retarget": {"model": TINY, "classes": 3},
    "freeze": {"model": TINY, "layers": ["backbone"]},
    "unfreeze": {"model": TINY, "layers": ["backbone"]},
    "set_loss": {"model": TINY, "loss": "mse"},
    "undo": {"model": "MODEL"},
    "finetune": {"model": "MODEL", "data": "digits"},
    "forecast": {"model": "MODEL", "data": "digits"},
    "evaluate": {"model": TINY, "data": "digits"},
    "predict": {"model": TINY, "input": "x.png"},
    "export": {"model": TINY, "format": "onnx"},
    "list_models": {"query": "resnet"},
    "inspect": {"model": TINY},
    "status": {"job": "JOB"},
    "cancel": {"job": "JOB"},
    "resume": {"job": "JOB"},
    "list_jobs": {"state": "queued"},
}
"""A valid step of each kind."""

REQUESTS: dict[str, dict[str, Any]] = {
    "ResolveModel": {"model": TINY},
    "GetModel": {"id": "MODEL"},
    "ListModels": {"query": "resnet"},
    "ExportModel": {"model": TINY, "format": "python"},
    "PrefetchWeights": {"model": TINY},
    "GetUpload": {"sha256": "0" * 64, "name": "net.pth", "size": 100},
    "UploadFile": {"header": {"sha256": "0" * 64, "name": "net.pth", "size": 100}},
    "DrawGraph": {"model": TINY},
    "GetViewerFile": {"model_id": "MODEL", "path": ""},
    "CompareGraphs": {"a": TINY, "b": TINY},
    "ListModules": {"model": TINY, "depth": 2},
    "InspectModel": {"model": TINY},
    "RetargetModel": {"model": TINY, "classes": 3},
    "FreezeLayers": {"model": TINY, "layers": ["backbone"]},
    "UnfreezeLayers": {"model": TINY, "layers": ["backbone"]},
    "SetLoss": {"model": TINY, "loss": "mse"},
    "ReplaceModule": {"model": TINY, "path": "act1", "type": "GELU"},
    "SetDropout": {"model": TINY, "p": 0.5},
    "AddLora": {"model": TINY, "rank": 2},
    "UndoEdit": {"model": "MODEL"},
    "StartTuning": {"spec": {"model": "MODEL", "data": "digits"}},
    "Forecast": {"spec": {"model": "MODEL", "data": "digits"}, "quick": True},
    "GetJob": {"id": "JOB"},
    "ListJobs": {"limit": 3},
    "WatchJob": {"id": "JOB"},
    "CancelJob": {"id": "JOB"},
    "ResumeJob": {"id": "JOB"},
    "MeanFeatures": {"model": "MODEL", "layer": "fc", "data": "digits", "most_examples": 8},
    "CheckData": {"data": "pets"},
    "Evaluate": {"model": "PAIR", "data": "pets"},
    "Predict": {"model": TINY, "pictures": [{"name": "x.png", "data": ""}]},
    "GetResults": {"job": "JOB"},
    "ListAnswers": {"job": "JOB"},
    "GetPicture": {"job": "JOB", "file": "cat/0.png"},
    "AskTensorBoard": {"method": "GET", "path": "data/environment"},
    "Plan": {"text": "show resnet18"},
    "Consent": {"steps": [{"show": {"model": TINY}}]},
    "Run": {"steps": [{"list_jobs": {}}]},
    "GetConversation": {"id": "talk"},
}
"""A valid request of each rpc."""

METHODS: dict[str, tuple[str, MethodDescriptor]] = {
    method.name: (name, method)
    for name, service in SERVICES.items()
    for method in service.descriptor.methods
}


@dataclass(frozen=True)
class Place:
    """A field, by the names that lead to it, and a value for it."""

    path: tuple[str, ...]
    value: Any
    kind: int = 0

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}={self.value!r:.40}"


class Failing:
    """A launcher whose runs fail as soon as they begin."""

    def capacity(self) -> Capacity:
        return Capacity(cpus=2, gpus=0)

    def submit(self, job_id: str, submission: str) -> None:
        Jobs(default_store()).end(job_id, State.FAILED, TrainingFailed(problem="the test ends it"))

    def stop(self, submission: str) -> None:
        """There is nothing to stop."""


@dataclass
class Target:
    """A client, and the names of what a valid request may refer to."""

    client: Client
    names: dict[str, str]

    def request(self, message: type[Message], values: dict[str, Any]) -> Any:
        return ParseDict(self._named(values), message())

    def _named(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._named(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._named(item) for item in value]
        return self.names.get(value, value) if isinstance(value, str) else value


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    from netgraft.settings import settings

    with pytest.MonkeyPatch.context() as patch:
        folder: Path = tmp_path_factory.mktemp("hostile")
        patch.setenv("NETGRAFT_STATE", str(folder / "state"))
        patch.setenv("NETGRAFT_DATA_ROOTS", str(folder))
        patch.setenv("HF_HUB_OFFLINE", "1")
        for name in ("cat", "dog"):
            (folder / "pets" / name).mkdir(parents=True)
            for number in range(3):
                picture = Image.new("RGB", (20, 20), (90 * number, 90, len(name)))
                picture.save(folder / "pets" / name / f"{number}.png")
        for cached in (settings, default_store):
            cached.cache_clear()
        with serving(launcher=Failing()) as address, Client(address) as client:
            edit = surgery_pb2.RetargetModelRequest(model=TINY, classes=10)
            model = client.surgery.RetargetModel(edit).model.id
            edit.classes = 2
            pair = client.surgery.RetargetModel(edit).model.id
            spec = tuning_pb2.TuningSpec(model=model, data="digits")
            job = client.tuning.StartTuning(tuning_pb2.StartTuningRequest(spec=spec))
            yield Target(client, {"MODEL": model, "PAIR": pair, "JOB": job.id})
    for cached in (settings, default_store):
        cached.cache_clear()


# Where values can be put


def places(descriptor: Descriptor, path: tuple[str, ...] = ()) -> Iterator[Place]:
    """Every field of a message and of what it holds, with every hostile value.

    Steps have walks of their own, and google.protobuf's types are no text of ours.
    """
    for field in descriptor.fields:
        here = (*path, field.name)
        if field.message_type is None:
            yield from (Place(here, value, field.type) for value in HOSTILE[field.type])
        elif field.message_type.GetOptions().map_entry:
            yield from (Place(here, text, field.type) for text in TEXTS)
        elif field.message_type.full_name.startswith("netgraft.v1.") and field.name != "steps":
            yield from places(field.message_type, here)


def put(message: Any, place: Place) -> None:
    """Put a value into a field, in the place of what was there."""
    *way, last = place.path
    for name in way:
        message = getattr(message, name)
        if isinstance(message, MutableSequence):
            message = message[0]
    field = message.DESCRIPTOR.fields_by_name[last]
    if field.message_type is not None:  # a map
        message.ClearField(last)
        entry = field.message_type.fields_by_name["value"]
        if entry.message_type is None:
            getattr(message, last)[place.value] = place.value
        else:
            getattr(message, last)[place.value].string_value = place.value
    elif field.is_repeated:
        message.ClearField(last)
        getattr(message, last).append(place.value)
    else:
        setattr(message, last, place.value)


# What is answered


def answered(client: Client, service: str, method: MethodDescriptor, request: Any) -> str:
    """The code that a call ends with, or the reason for which a step of it failed."""
    call = getattr(getattr(client, service), method.name)
    try:
        if method.client_streaming:
            call(iter([request]), timeout=PATIENCE)
        elif method.server_streaming:
            for event in itertools.islice(call(request, timeout=PATIENCE), 1_000):
                if isinstance(event, agent_pb2.RunEvent) and event.HasField("failed"):
                    return event.failed.reason
        else:
            call(request, timeout=PATIENCE)
    except RemoteError as error:
        return error.code
    except NetgraftError as error:
        return error.reason
    return "OK"


def answers(
    target: Target, name: str, hostile: Iterable[Place], values: dict[str, Any] | None = None
) -> dict[Place, str]:
    """What an rpc answers to its valid request with each value in its place."""
    service, method = METHODS[name]
    message = GetMessageClass(method.input_type)

    def ask(place: Place) -> str:
        request = target.request(message, values or REQUESTS[name])
        put(request, place)
        return answered(target.client, service, method, request)

    every = list(hostile)
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(every, pool.map(ask, every), strict=True))


def test_every_rpc_and_every_step_has_a_valid_example(target: Target) -> None:
    assert set(REQUESTS) == set(METHODS)
    assert set(STEPS) == set(agent_pb2.Step.DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize("name", REQUESTS)
def test_no_value_of_a_request_is_the_servers_fault(target: Target, name: str) -> None:
    _, method = METHODS[name]
    shown = answers(target, name, places(method.input_type))
    assert shown, "every request has a field"
    assert {str(place): code for place, code in shown.items() if code in OURS} == {}
    enums = {code for place, code in shown.items() if place.kind == FieldDescriptor.TYPE_ENUM}
    assert enums <= {"INVALID_ARGUMENT"}, "a number that names nothing is no default"


@pytest.mark.parametrize("action", STEPS)
def test_no_value_of_a_step_is_the_servers_fault(target: Target, action: str) -> None:
    step = agent_pb2.Step.DESCRIPTOR.fields_by_name[action].message_type
    shown: dict[str, str] = {}
    for place in places(step):
        request = agent_pb2.RunRequest(
            steps=[target.request(agent_pb2.Step, {action: STEPS[action]})]
        )
        put(getattr(request.steps[0], action), place)
        shown[str(place)] = _run(target, request)
    assert shown
    assert {place: code for place, code in shown.items() if code in OURS} == {}


def _run(target: Target, request: agent_pb2.RunRequest) -> str:
    """What a plan ends with that a person has agreed to."""
    consent = agent_pb2.ConsentRequest(steps=request.steps)
    try:
        request.consent_token = target.client.agent.Consent(consent).token
    except RemoteError as error:
        return error.code
    service, method = METHODS["Run"]
    return answered(target.client, service, method, request)


@pytest.mark.parametrize("state", ["resting", "RUNNING", "done ", "运行中", "unspecified"])
def test_an_unknown_state_is_refused_with_the_known_ones(target: Target, state: str) -> None:
    step = agent_pb2.Step(list_jobs=agent_pb2.ListJobsStep(state=state))
    [_, last] = target.client.agent.Run(agent_pb2.RunRequest(steps=[step]))
    assert last.failed.reason == "INVALID_VALUE"
    assert "queued, running, succeeded, failed, cancelled" in last.failed.message


def test_an_empty_plan_and_an_empty_step_are_refused(target: Target) -> None:
    for steps in ([], [agent_pb2.Step()], [agent_pb2.Step(undo=agent_pb2.UndoStep())] * 101):
        with pytest.raises(RemoteError) as caught:
            list(target.client.agent.Run(agent_pb2.RunRequest(steps=steps)))
        assert caught.value.code == "INVALID_ARGUMENT"


def test_the_walk_reaches_every_kind_of_field(target: Target) -> None:
    kinds = Counter(
        place.kind for _, method in METHODS.values() for place in places(method.input_type)
    )
    assert kinds.keys() >= {
        FieldDescriptor.TYPE_STRING,
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_DOUBLE,
        FieldDescriptor.TYPE_ENUM,
        FieldDescriptor.TYPE_MESSAGE,
    }
