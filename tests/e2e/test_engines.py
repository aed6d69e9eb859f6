"""One contract, two engines: every rpc answers the same on both, its errors and streams too.

Each engine has a state of its own. What differs by nature (times, ids of jobs, seconds, ports) is
taken out of the replies before they are compared.
"""

import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from tests.e2e.system import write_pictures
from tests.e2e.up import Up, running

from netgraft.client import Client, RemoteError
from netgraft.v1 import agent_pb2, graph_pb2, models_pb2, surgery_pb2, tuning_pb2
from netgraft.v1.tuning_pb2 import JobEvent

pytestmark = [pytest.mark.e2e, pytest.mark.serial, pytest.mark.timed, pytest.mark.timeout(600)]

ENGINES = ("local", "ray")
VARIES = {
    "resultModel",
    "createTime",
    "startTime",
    "endTime",
    "time",
    "seq",
    "fingerprint",
    "seconds",
    "imagesPerSecond",
    "etaSeconds",
}
"""Fields that differ from call to call: the id of a tuned model has its job's in it, and the
fingerprint of data their files' times."""
PACED = (JobEvent.KIND_STEP, JobEvent.KIND_CHECKPOINT)
"""How many of these events there are depends on how fast it goes."""
ENDED = (
    tuning_pb2.JOB_STATE_SUCCEEDED,
    tuning_pb2.JOB_STATE_FAILED,
    tuning_pb2.JOB_STATE_CANCELLED,
)
LONG = 12
"""Epochs of a run that does not end before it is cancelled."""
TINY = "timm/test_resnet@none"
FILES = (models_pb2, graph_pb2, surgery_pb2, tuning_pb2, agent_pb2)


class Recorder:
    """A client that keeps every reply, in plain form, and which rpcs were called."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client = client
        self.replies: list[Any] = []
        self.called: set[str] = set()
        self.jobs: dict[str, str] = {}
        self.names = {str(folder): "FOLDER"}
        """What is called differently in each state, and what to call it instead."""

    def __call__(self, service: str, rpc: str, request: Any, keep: bool = True) -> Any:
        """Call an rpc; the reply, the list of a stream's, or the error."""
        self.called.add(rpc)
        method = getattr(getattr(self.client, service), rpc)
        try:
            reply = method(request)
            reply = reply if isinstance(reply, Message) else list(reply)
        except RemoteError as error:
            reply = error
        if keep:
            self.replies.append((rpc, self.plain(reply)))
        return reply

    def plain(self, reply: Any) -> Any:
        if isinstance(reply, RemoteError):
            return {"reason": reply.reason, "code": reply.code, "sentence": self._same(str(reply))}
        if isinstance(reply, list):
            return [self.plain(each) for each in reply]
        return json.loads(self._same(json.dumps(_without(MessageToDict(reply)))))

    def _same(self, text: str) -> str:
        text = re.sub(r'(time of a step here, relative: )[^"]*', r"\1…", text)
        text = re.sub(r'(forecast \(90 %\): )[^"]*', r"\1…", text)  # by earlier runs of an engine
        for its, name in {**self.names, **self.jobs}.items():
            text = text.replace(its, name)
        return text


def _without(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: _without(each) for key, each in document.items() if key not in VARIES}
    return [_without(each) for each in document] if isinstance(document, list) else document


@pytest.fixture(scope="session")
def recorded(
    tmp_path_factory: pytest.TempPathFactory, torch_home_with_weights: Path, on_ray: Up
) -> dict[str, Recorder]:
    """What each engine answers to the same calls, one engine after the other."""
    with running(tmp_path_factory.mktemp("local"), torch_home_with_weights, "--no-web") as local:
        found = {"local": record(local)}
    return found | {"ray": record(on_ray)}


def record(up: Up) -> Recorder:
    write_pictures(up.system.data / "colours", classes=2, each=8)
    with up.system.client() as client:
        recorder = Recorder(client, up.system.state.parent)
        for part in (look, edit, take, send, fail, train, converse):
            part(recorder)
    return recorder


def look(call: Recorder) -> None:
    model = call("models", "ResolveModel", models_pb2.ResolveModelRequest(model="mobilenet_v2"))
    call("models", "GetModel", models_pb2.GetModelRequest(id=model.id))
    query = models_pb2.ListModelsRequest(query="resnet", limit=5)
    call("models", "ListModels", query)
    call("graphs", "DrawGraph", graph_pb2.DrawGraphRequest(model="mobilenet_v2"))
    for path in ("", "lens.json", "hierarchy.json"):
        file = graph_pb2.GetViewerFileRequest(model_id=model.id, path=path)
        call("graphs", "GetViewerFile", file)
    call("graphs", "ListModules", graph_pb2.ListModulesRequest(model="mobilenet_v2", depth=2))
    call("surgery", "InspectModel", surgery_pb2.InspectModelRequest(model="mobilenet_v2"))
    call("models", "PrefetchWeights", models_pb2.PrefetchWeightsRequest(model="mobilenet_v2"))


def edit(call: Recorder) -> None:
    model = "mobilenet_v2"
    retarget = surgery_pb2.RetargetModelRequest(model=model, classes=7)
    other = call("surgery", "RetargetModel", retarget).model.id
    compare = graph_pb2.CompareGraphsRequest(a=model, b=other)
    call("graphs", "CompareGraphs", compare)
    freeze = surgery_pb2.FreezeLayersRequest(model=other, layers=["features.*"])
    frozen = call("surgery", "FreezeLayers", freeze).model.id
    call("surgery", "UnfreezeLayers", surgery_pb2.UnfreezeLayersRequest(model=frozen, layers=["*"]))
    call("surgery", "SetLoss", surgery_pb2.SetLossRequest(model=other, loss="cross_entropy"))
    call("surgery", "SetDropout", surgery_pb2.SetDropoutRequest(model=other, p=0.5))
    call("surgery", "AddLora", surgery_pb2.AddLoraRequest(model="vit_b_16@none", rank=4))
    replace = surgery_pb2.ReplaceModuleRequest(model=other, path="features.0.2", type="Hardswish")
    call("surgery", "ReplaceModule", replace)
    call("surgery", "UndoEdit", surgery_pb2.UndoEditRequest(model=frozen))


def take(call: Recorder) -> None:
    for form in ("python", "state_dict", "onnx"):
        request = models_pb2.ExportModelRequest(model=TINY, format=form)
        chunks = call("models", "ExportModel", request, keep=form == "python")
        assert sum(len(chunk.data) for chunk in chunks) == chunks[0].size > 0


def send(call: Recorder) -> None:
    torch.manual_seed(0)
    buffer = io.BytesIO()
    torch.save(torchvision.models.squeezenet1_1(num_classes=5), buffer)
    data = buffer.getvalue()
    name, sha256 = "net.pth", hashlib.sha256(data).hexdigest()
    header = models_pb2.UploadHeader(sha256=sha256, name=name, size=len(data))
    half = [data[: 2**20]]
    rest = [data[at : at + 2**20] for at in range(2**20, len(data), 2**20)]
    known = models_pb2.GetUploadRequest(sha256=sha256, name=name, size=len(data))
    call("models", "UploadFile", _stream(header, half))
    call("models", "GetUpload", known)
    header.offset = 2**20
    call("models", "UploadFile", _stream(header, rest))
    call("models", "GetUpload", known)


def _stream(header: Any, parts: list[bytes]) -> Iterator[Any]:
    yield models_pb2.UploadFileRequest(header=header)
    yield from (models_pb2.UploadFileRequest(data=part) for part in parts)


def fail(call: Recorder) -> None:
    call("models", "ResolveModel", models_pb2.ResolveModelRequest(model="resnet500"))
    call("models", "GetModel", models_pb2.GetModelRequest(id="0" * 64))
    call("models", "ExportModel", models_pb2.ExportModelRequest(model=TINY, format="zip"))
    focus = graph_pb2.DrawGraphRequest(model="mobilenet_v2", focus="no.such.module")
    call("graphs", "DrawGraph", focus)
    call("surgery", "RetargetModel", surgery_pb2.RetargetModelRequest(model=TINY, classes=0))
    call("surgery", "UndoEdit", surgery_pb2.UndoEditRequest(model=TINY))
    call("tuning", "GetJob", tuning_pb2.GetJobRequest(id="tune-1"))
    call("tuning", "WatchJob", tuning_pb2.WatchJobRequest(id="tune-1"))
    spec = tuning_pb2.TuningSpec(model=TINY, data="/etc")
    call("tuning", "StartTuning", tuning_pb2.StartTuningRequest(spec=spec))
    means = tuning_pb2.MeanFeaturesRequest(model="mobilenet_v2", data="./missing")
    call("tuning", "MeanFeatures", means)


def train(call: Recorder) -> None:
    model = call(
        "surgery", "RetargetModel", surgery_pb2.RetargetModelRequest(model=TINY, classes=2)
    ).model.id
    means = tuning_pb2.MeanFeaturesRequest(model=model, data="./colours")
    call("tuning", "MeanFeatures", means)
    look_forward(call, model)
    finished = start(call, model, epochs=2)
    events = call("tuning", "WatchJob", tuning_pb2.WatchJobRequest(id=finished), keep=False)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    call.replies.append(("epochs", [e.epoch for e in events if e.metrics]))
    call.replies.append(("kinds", [e.kind for e in events if e.kind not in PACED]))
    half = tuning_pb2.WatchJobRequest(id=finished, after_seq=len(events) // 2)
    rest = call("tuning", "WatchJob", half, keep=False)
    assert rest == events[len(events) // 2 :]
    tuned = call("tuning", "GetJob", tuning_pb2.GetJobRequest(id=finished)).result_model
    call.names[tuned] = "TUNED"
    call("tuning", "GetResults", tuning_pb2.GetResultsRequest(job=finished))
    call("tuning", "ListAnswers", tuning_pb2.ListAnswersRequest(job=finished))
    picture = tuning_pb2.GetPictureRequest(job=finished, file="class0/0.png")
    call("tuning", "GetPicture", picture)
    call.replies.append(("learned", weights_of(call, tuned)))
    use(call, tuned)
    cancelled = start(call, model, epochs=LONG)
    stream = call.client.tuning.WatchJob(tuning_pb2.WatchJobRequest(id=cancelled))
    next(event for event in stream if event.step)
    call("tuning", "CancelJob", tuning_pb2.CancelJobRequest(id=cancelled), keep=False)
    resumed = call("tuning", "ResumeJob", tuning_pb2.ResumeJobRequest(id=cancelled), keep=False)
    assert resumed.attempt == 2
    call("tuning", "CancelJob", tuning_pb2.CancelJobRequest(id=cancelled), keep=False)
    jobs = call("tuning", "ListJobs", tuning_pb2.ListJobsRequest(), keep=False).jobs
    call.replies.append(("jobs", [(call.jobs[job.id], job.state) for job in jobs]))


def look_forward(call: Recorder, model: str) -> None:
    """Forecasts differ by what a machine has measured; TensorBoard answers the same."""
    spec = tuning_pb2.TuningSpec(model=model, data="./colours", epochs=2)
    request = tuning_pb2.ForecastRequest(spec=spec, quick=True)
    assert isinstance(replies := call("tuning", "Forecast", request, keep=False), list), replies
    page = tuning_pb2.AskTensorBoardRequest(method="GET", path="data/environment")
    call("tuning", "AskTensorBoard", page)


def use(call: Recorder, tuned: str) -> None:
    """Check, measure and predict; how often progress is reported depends on how fast it is."""
    data, pictures = "./colours", ["./colours/class0"]
    check = tuning_pb2.CheckDataRequest(data=data, model=tuned)
    evaluate = tuning_pb2.EvaluateRequest(model=tuned, data=data, part="all")
    predict = tuning_pb2.PredictRequest(model=tuned, paths=pictures, top=2)
    for rpc, request in (("CheckData", check), ("Evaluate", evaluate), ("Predict", predict)):
        replies = call("tuning", rpc, request, keep=False)
        assert isinstance(replies, list), replies
        call.replies.append((rpc, call.plain(replies[-1])))


def weights_of(call: Recorder, model: str) -> dict[str, list[float]]:
    """The sum of each tensor."""
    request = models_pb2.ExportModelRequest(model=model, format="state_dict")
    chunks = call("models", "ExportModel", request, keep=False)
    tensors = torch.load(io.BytesIO(b"".join(chunk.data for chunk in chunks)), weights_only=True)
    return {name: value.double().sum().item() for name, value in tensors.items()}


def start(call: Recorder, model: str, epochs: int) -> str:
    small = {"batch_size": 4, "image_size": 32, "device": "cpu", "precision": "fp32"}
    spec = tuning_pb2.TuningSpec(model=model, data="./colours", epochs=epochs, **small)
    job = call("tuning", "StartTuning", tuning_pb2.StartTuningRequest(spec=spec), keep=False)
    name: str = job.id
    call.jobs[name] = f"job-{len(call.jobs) + 1}"
    return name


def converse(call: Recorder) -> None:
    talk = "conversation-1"
    sentence = "show mobilenet_v2 and retarget it to 3 classes"
    plan = call("agent", "Plan", agent_pb2.PlanRequest(text=sentence, conversation_id=talk))
    run = agent_pb2.RunRequest(steps=plan.steps, conversation_id=talk)
    call("agent", "Run", run)
    text = f"fine-tune {TINY} on digits for 1 epoch"
    costly = call("agent", "Plan", agent_pb2.PlanRequest(text=text, conversation_id=talk))
    assert costly.needs_consent
    call("agent", "Run", agent_pb2.RunRequest(steps=costly.steps, conversation_id=talk))
    consent = agent_pb2.ConsentRequest(steps=costly.steps, conversation_id=talk)
    call("agent", "Consent", consent, keep=False)
    call("agent", "GetConversation", agent_pb2.GetConversationRequest(id=talk))


def test_every_rpc_is_called(recorded: dict[str, Recorder]) -> None:
    contract = {
        method.name
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    for recorder in recorded.values():
        assert recorder.called == contract


def test_both_engines_answer_the_same(recorded: dict[str, Recorder]) -> None:
    local, ray = (recorded[engine].replies for engine in ENGINES)
    assert [rpc for rpc, _ in local] == [rpc for rpc, _ in ray]
    replies = zip(local, ray, strict=True)
    assert not [each for (rpc, one), (_, other) in replies for each in differences(one, other, rpc)]


def differences(one: Any, other: Any, where: str) -> Iterator[str]:
    """Where two documents differ, and how."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from differences(one.get(key), other.get(key), f"{where}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{where}[{place}]")
    elif one != other:
        yield f"{where}: {one} != {other}"


def test_a_run_that_was_stopped_on_ray_is_ended_by_the_local_engine(
    recorded: dict[str, Recorder], ended_on_ray: Up, torch_home_with_weights: Path
) -> None:
    folder = ended_on_ray.system.state.parent
    with running(folder, torch_home_with_weights, "--no-web") as up, up.system.client() as client:
        jobs = client.tuning.ListJobs(tuning_pb2.ListJobsRequest()).jobs
        own = [job for job in jobs if job.id in recorded["ray"].jobs]
        assert {job.id for job in own} == recorded["ray"].jobs.keys()
        stopped = next(job for job in own if job.state == tuning_pb2.JOB_STATE_CANCELLED)
        client.tuning.ResumeJob(tuning_pb2.ResumeJobRequest(id=stopped.id))
        events = list(client.tuning.WatchJob(tuning_pb2.WatchJobRequest(id=stopped.id)))
        assert events[-1].state == tuning_pb2.JOB_STATE_SUCCEEDED
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        saved = [e.step for e in events if e.kind == JobEvent.KIND_CHECKPOINT and e.attempt < 3]
        steps = [e.step for e in events if e.step and e.attempt == 3]
        assert 0 < max(saved) < min(steps) <= max(steps)
        assert {e.total_steps for e in events if e.step and e.attempt == 3} == {max(steps)}
        assert max(steps) % LONG == 0
