"""The other side of the network: a real gRPC server in this process, with small services.

The gateway knows nothing but gRPC, so its tests stand at that boundary: generated
servicers over a real socket that speak the contract with made-up models. What the real
services do is tested where they live, and all together in tests/e2e.
"""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from netgraft.errors import (
    JobNotRunning,
    NetgraftError,
    UnknownJob,
    UnknownModel,
    UnsupportedFile,
    WrongHash,
    status_name,
)
from netgraft.settings import settings
from netgraft.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    graph_pb2,
    graph_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    surgery_pb2,
    surgery_pb2_grpc,
    tuning_pb2,
    tuning_pb2_grpc,
)
from netgraft.v1.agent_pb2 import RunEvent, Step
from netgraft.v1.tuning_pb2 import JobEvent

TOKEN = "the-token-of-these-tests"
BASE = "a" * 64
GRAFTED = "b" * 64
TUNED = "c" * 64
FILE = bytes(range(256)) * 8192  # 2 MiB: several chunks
PICTURE = b"""<!doctype html><title>viewer</title><script src="index.js"></script>
<svg width="90" height="90" role="img"><g class="node"><rect width="80" height="20"/></g></svg>"""
SUMMARY = "fc: Linear(2048 → 1000) → Linear(2048 → 100)"
STEPS = 20


@dataclass
class Seen:
    """What reached the server."""

    calls: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def languages(self, method: str) -> list[str]:
        return [meta["accept-language"] for name, meta in self.calls if name == method]


class Identify(grpc.ServerInterceptor):
    """Refuses calls without the token, and remembers the others."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    def intercept_service(self, go_on: Any, details: Any) -> Any:
        metadata = {key: str(value) for key, value in details.invocation_metadata}
        self.seen.calls.append((details.method.rpartition("/")[2], metadata))
        if metadata.get("authorization") == f"Bearer {TOKEN}":
            return go_on(details)
        return grpc.unary_unary_rpc_method_handler(
            lambda _, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
        )


def tell(context: Any, error: NetgraftError) -> Any:
    """End a call as the services do: status, reason, sentence in the caller's language."""
    language = dict(context.invocation_metadata()).get("accept-language", "en")
    code = grpc.StatusCode[status_name(error)]
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain="netgraft"))
    status = status_pb2.Status(code=code.value[0], message=error.sentence(language), details=[info])
    context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
    context.abort(code, error.sentence(language))


class Models(models_pb2_grpc.ModelsServicer):
    def ExportModel(self, request: models_pb2.ExportModelRequest, context: Any) -> Iterator[Any]:
        if request.model not in {BASE, GRAFTED, TUNED}:
            tell(context, UnknownModel(name=request.model, hint=""))
        yield models_pb2.FileChunk(name=f"../résnet50.{request.format}", size=len(FILE))
        for start in range(0, len(FILE), 2**20):
            yield models_pb2.FileChunk(data=FILE[start : start + 2**20])

    def GetUpload(self, request: models_pb2.GetUploadRequest, context: Any) -> models_pb2.Upload:
        return models_pb2.Upload(sha256=request.sha256)

    def UploadFile(self, requests: Iterator[Any], context: Any) -> models_pb2.Upload:
        header = next(requests).header
        data = b"".join(request.data for request in requests)
        if hashlib.sha256(data).hexdigest() != header.sha256:
            tell(context, WrongHash(name=header.name, found=""))
        if data.startswith(b"bad"):
            tell(context, UnsupportedFile(path=header.name, problem="it is bad."))
        model = models_pb2.Model(id=BASE, title=f"{header.name}, {len(data)} bytes")
        return models_pb2.Upload(sha256=header.sha256, received_bytes=len(data), model=model)


class Graphs(graph_pb2_grpc.GraphsServicer):
    files: ClassVar = {
        "": graph_pb2.ViewerFile(data=PICTURE, content_type="text/html; charset=utf-8"),
        "index.js": graph_pb2.ViewerFile(
            data=b"document.documentElement.dataset.ran = 'yes'",
            content_type="text/javascript",
            immutable=True,
        ),
    }

    def GetViewerFile(self, request: graph_pb2.GetViewerFileRequest, context: Any) -> Any:
        if request.model_id not in {BASE, GRAFTED, TUNED, "static"}:
            tell(context, UnknownModel(name=request.model_id, hint=""))
        if request.other_id:
            data = f"{request.model_id} {request.other_id} {request.path}".encode()
            return graph_pb2.ViewerFile(data=data, content_type="text/plain")
        return self.files.get(request.path) or tell(context, UnknownModel(name="file", hint=""))


def model(identity: str, classes: int) -> models_pb2.Model:
    return models_pb2.Model(
        id=identity,
        base="torchvision/resnet50@IMAGENET1K_V2",
        title=f"resnet50 · {classes} classes",
        classes=classes,
    )


class Surgery(surgery_pb2_grpc.SurgeryServicer):
    def InspectModel(self, request: surgery_pb2.InspectModelRequest, context: Any) -> Any:
        classes = 1000 if request.model == BASE else 100
        head = surgery_pb2.Head(
            path="fc",
            type="Linear",
            in_features=2048,
            out_features=classes,
            classes=classes,
            role="main",
        )
        return surgery_pb2.Inspection(
            model=model(request.model, classes),
            heads=[head],
            parameters=25_557_032 if classes == 1000 else 23_712_932,
            trainable_parameters=23_712_932,
            flops=8_178_000_000,
            input_shape=[3, 224, 224],
            weight_bytes=102_400_000,
        )


@dataclass
class Run:
    """A made-up job, driven by a thread. `hold` stops it half-way until it is let go."""

    id: str
    hold: threading.Event
    events: list[JobEvent] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    state: int = tuning_pb2.JOB_STATE_QUEUED
    cancelled: bool = False

    def write(self, **fields: Any) -> None:
        with self.changed:
            self.state = fields.get("state", self.state)
            self.events.append(JobEvent(seq=len(self.events) + 1, attempt=1, **fields))
            self.changed.notify_all()

    def go(self) -> None:
        self.write(kind=JobEvent.KIND_STATE, state=tuning_pb2.JOB_STATE_RUNNING)
        for step in range(1, STEPS + 1):
            if step == STEPS // 2:
                while not self.hold.wait(0.05) and not self.cancelled:
                    pass
            if self.cancelled:
                self.write(kind=JobEvent.KIND_STATE, state=tuning_pb2.JOB_STATE_CANCELLED)
                return
            epoch = 1 + (step - 1) * 2 // STEPS
            figures = {"step": step, "total_steps": STEPS, "epoch": epoch, "total_epochs": 2}
            speed = {"images_per_second": 123.4, "eta_seconds": float(STEPS - step)}
            self.write(kind=JobEvent.KIND_STEP, loss=2.0 / step, **figures, **speed)
            if step in {STEPS // 2, STEPS}:
                metrics = {"accuracy": 0.5 + step / STEPS * 0.47}
                self.write(kind=JobEvent.KIND_EPOCH, loss=2.2 / step, metrics=metrics, **figures)
            time.sleep(0.03)
        self.write(kind=JobEvent.KIND_STATE, state=tuning_pb2.JOB_STATE_SUCCEEDED)

    @property
    def ended(self) -> bool:
        return self.state >= tuning_pb2.JOB_STATE_SUCCEEDED

    def job(self) -> tuning_pb2.Job:
        succeeded = self.state == tuning_pb2.JOB_STATE_SUCCEEDED
        return tuning_pb2.Job(
            id=self.id,
            state=self.state,  # type: ignore[arg-type]
            result_model=TUNED if succeeded else "",
            metrics={"accuracy": 0.97} if succeeded else {},
        )

    def _news(self, seq: int) -> list[JobEvent]:
        with self.changed:
            self.changed.wait_for(lambda: len(self.events) > seq or self.ended, timeout=5)
            return self.events[seq:]

    def after(self, seq: int) -> Iterator[JobEvent]:
        while True:
            news = self._news(seq)
            yield from news
            seq += len(news)
            if self.ended and seq == len(self.events):
                return


class Tuning(tuning_pb2_grpc.TuningServicer):
    def __init__(self, hold: threading.Event) -> None:
        self.hold = hold
        self.runs: dict[str, Run] = {}

    def start(self) -> Run:
        run = Run(f"tune-20261123-{len(self.runs):06x}", self.hold)
        self.runs[run.id] = run
        threading.Thread(target=run.go, daemon=True).start()
        return run

    def GetJob(self, request: tuning_pb2.GetJobRequest, context: Any) -> Any:
        run = self.runs.get(request.id)
        return run.job() if run else tell(context, UnknownJob(job=request.id))

    def WatchJob(self, request: tuning_pb2.WatchJobRequest, context: Any) -> Iterator[JobEvent]:
        yield from self.runs[request.id].after(request.after_seq)

    def CancelJob(self, request: tuning_pb2.CancelJobRequest, context: Any) -> Any:
        run = self.runs[request.id]
        if run.ended:
            tell(context, JobNotRunning(job=run.id, state="over"))
        run.cancelled = True
        return run.job()


class Agent(agent_pb2_grpc.AgentServicer):
    """Knows seven sentences, and keeps conversations as the real one does.

    What is said "slowly" is planned, and what is "vast" fails, once `patience` is set.
    """

    def __init__(self, tuning: Tuning) -> None:
        self.tuning = tuning
        self.patience = threading.Event()
        self.conversations: dict[str, agent_pb2.Conversation] = {}
        self.consents: set[str] = set()

    def Plan(self, request: agent_pb2.PlanRequest, context: Any) -> Any:
        if "broken" in request.text:
            tell(context, UnknownModel(name="broken", hint="Did you mean resnet50?"))
        if "slowly" in request.text:
            self.patience.wait(30)
        reply = self._reply(request.text)
        conversation = self.conversation(request.conversation_id)
        conversation.turns.add(text=request.text, reply=reply)
        return reply

    def _reply(self, text: str) -> agent_pb2.PlannerReply:
        show = Step(show=agent_pb2.ShowStep(model="resnet50"))
        retarget = Step(retarget=agent_pb2.RetargetStep(model="resnet50", classes=100))
        finetune = Step(finetune=agent_pb2.FinetuneStep(data="digits", epochs=2))
        if "fine-tune" in text or "微调" in text:
            return agent_pb2.PlannerReply(
                kind="plan",
                steps=[finetune],
                assumptions=["lr 0.01: the service's default"],
                needs_consent=[1],
            )
        compare = Step(compare=agent_pb2.CompareStep(a="resnet50", b=TUNED))
        vast = Step(show=agent_pb2.ShowStep(model="vast"))
        plans = {
            "vast": [vast],
            "retarget": [show, retarget],
            "fails": [show, Step(undo={})],
            "compare": [compare],
            "stop": [Step(cancel={})],
        }
        for word, steps in plans.items():
            if word in text:
                stops = [1] if word == "stop" else []
                return agent_pb2.PlannerReply(kind="plan", steps=steps, needs_consent=stops)
        if "which" in text:
            return agent_pb2.PlannerReply(
                kind="clarify", question="Which one?", options=["retarget resnet50", "neither"]
            )
        if "poem" in text:
            return agent_pb2.PlannerReply(kind="refuse", reason="No <b>poems</b> *here*.")
        return agent_pb2.PlannerReply(kind="answer", text="I can show and retarget models.")

    def Consent(self, request: agent_pb2.ConsentRequest, context: Any) -> Any:
        token = f"consent-{len(self.consents)}"
        self.consents.add(token)
        return agent_pb2.ConsentReply(token=token)

    def Run(self, request: agent_pb2.RunRequest, context: Any) -> Iterator[RunEvent]:
        conversation = self.conversation(request.conversation_id)
        turn = conversation.turns[-1]
        for index, step in enumerate(request.steps, 1):
            for event in self._step(index, len(request.steps), step, request, conversation):
                if not event.HasField("progress"):
                    turn.events.append(event)
                yield event
                if event.HasField("failed"):
                    return

    def _step(
        self,
        index: int,
        total: int,
        step: Step,
        request: agent_pb2.RunRequest,
        conversation: agent_pb2.Conversation,
    ) -> Iterator[RunEvent]:
        kind = step.WhichOneof("step")
        started = agent_pb2.StepStarted(index=index, total=total, step=step, title=f"Do {kind}")
        yield RunEvent(started=started)
        done = agent_pb2.StepFinished(index=index, seconds=0.4)
        if step.show.model == "vast":
            yield RunEvent(progress=agent_pb2.StepProgress(index=index, page=f"/viz/{'d' * 64}/"))
            self.patience.wait(30)
            failed = agent_pb2.StepFailed(index=index, reason="CANNOT_DRAW", message="too vast")
            yield RunEvent(failed=failed)
            return
        if kind == "show":
            early = agent_pb2.StepProgress(index=index, page=f"/viz/{BASE}/")
            yield RunEvent(progress=early)
            graph = graph_pb2.Graph(model_id=BASE, page=f"/viz/{BASE}/")
            done.MergeFrom(agent_pb2.StepFinished(summary="resnet50", model_id=BASE, graph=graph))
        elif kind == "retarget":
            edit = surgery_pb2.EditReply(
                model=model(GRAFTED, 100),
                summary=SUMMARY,
                parameters_before=25_557_032,
                parameters_after=23_712_932,
            )
            done.MergeFrom(agent_pb2.StepFinished(summary=SUMMARY, model_id=GRAFTED, edit=edit))
        elif kind == "compare":
            page = f"/viz/compare/{BASE}/{TUNED}/"
            diff = graph_pb2.GraphDiff(a_id=BASE, b_id=TUNED, page=page)
            done.MergeFrom(agent_pb2.StepFinished(summary="alike", model_id=TUNED, diff=diff))
        elif kind == "finetune":
            if request.consent_token not in self.consents:
                failed = agent_pb2.StepFailed(index=index, reason="CONSENT_NEEDED", message="no")
                yield RunEvent(failed=failed)
                return
            self.consents.discard(request.consent_token)
            run = self.tuning.start()
            conversation.job_id = run.id
            for event in run.after(0):
                progress = agent_pb2.StepProgress(index=index, job_id=run.id, event=event)
                yield RunEvent(progress=progress)
            done.MergeFrom(
                agent_pb2.StepFinished(summary="accuracy 97.0 %", model_id=TUNED, job=run.job())
            )
        else:
            message = "resnet50 has no edit to undo: it is the base model."
            failed = agent_pb2.StepFailed(index=index, reason="NOTHING_TO_UNDO", message=message)
            yield RunEvent(failed=failed)
            return
        conversation.model_id = done.model_id
        yield RunEvent(finished=done)

    def GetConversation(self, request: agent_pb2.GetConversationRequest, context: Any) -> Any:
        return self.conversation(request.id)

    def conversation(self, name: str) -> agent_pb2.Conversation:
        return self.conversations.setdefault(name, agent_pb2.Conversation(id=name))


@dataclass
class Server:
    """The running double."""

    port: int
    seen: Seen
    agent: Agent
    tuning: Tuning
    hold: threading.Event


@contextmanager
def serving() -> Iterator[Server]:
    seen, hold = Seen(), threading.Event()
    grpc_server = grpc.server(ThreadPoolExecutor(24), interceptors=[Identify(seen)])
    tuning = Tuning(hold)
    agent = Agent(tuning)
    models_pb2_grpc.add_ModelsServicer_to_server(Models(), grpc_server)
    graph_pb2_grpc.add_GraphsServicer_to_server(Graphs(), grpc_server)
    surgery_pb2_grpc.add_SurgeryServicer_to_server(Surgery(), grpc_server)
    tuning_pb2_grpc.add_TuningServicer_to_server(tuning, grpc_server)
    agent_pb2_grpc.add_AgentServicer_to_server(agent, grpc_server)
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    grpc_server.start()
    try:
        yield Server(port, seen, agent, tuning, hold)
    finally:
        hold.set()
        agent.patience.set()
        grpc_server.stop(grace=None).wait(5)


@contextmanager
def pointing_at(server: Server) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETGRAFT_TOKEN", TOKEN)
        patch.setenv("NETGRAFT_ADDRESS", f"127.0.0.1:{server.port}")
        settings.cache_clear()
        yield server
    settings.cache_clear()


@pytest.fixture
def server() -> Iterator[Server]:
    """A gRPC server on a free loopback port."""
    with serving() as running:
        yield running


@pytest.fixture
def here(server: Server) -> Iterator[Server]:
    """A server that the settings of this process point at."""
    with pointing_at(server):
        yield server


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """The same for all tests of a module."""
    with serving() as running, pointing_at(running):
        yield running


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@dataclass
class Gateway:
    """`python -m netgraft.ui` in a process of its own."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self) -> str:
        return self.log.read_text().strip()


class Gateways:
    """Starts gateways, and stops them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Gateway] = []

    def __call__(self, web_port: int, grpc_port: int) -> Gateway:
        """A gateway that answers, or has ended."""
        environment = os.environ | {
            "NETGRAFT_STATE": str(self.folder),
            "NETGRAFT_TOKEN": TOKEN,
            "NETGRAFT_WEB_PORT": str(web_port),
            "NETGRAFT_GRPC_PORT": str(grpc_port),
        }
        environment.pop("NETGRAFT_ADDRESS", None)
        log = self.folder / f"{len(self.started)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "netgraft.ui"], env=environment, stderr=file
            )
        self.started.append(Gateway(process, log))
        deadline = time.monotonic() + 60
        # An opener of its own: urllib's keeps whatever proxy it first saw.
        here = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while process.poll() is None:
            try:
                here.open(f"http://127.0.0.1:{web_port}/healthz", timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            else:
                break
        return self.started[-1]

    def close(self) -> None:
        for gateway in self.started:
            if gateway.process.poll() is None:
                gateway.process.send_signal(signal.SIGTERM)
                gateway.process.wait(15)


@pytest.fixture(scope="module")
def start_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    gateways = Gateways(tmp_path_factory.mktemp("gateway"))
    yield gateways
    gateways.close()
