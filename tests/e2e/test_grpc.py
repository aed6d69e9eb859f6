"""The five services of a whole netgraft: who may call, what they answer, how they fail."""

import hashlib
import socket
from importlib import import_module
from pathlib import Path

import grpc
import psutil
import pytest
import torch
import torchvision
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_status import rpc_status
from tests.e2e.system import System, write_pictures

from netgraft.client import AsyncClient, RemoteError
from netgraft.sending import send
from netgraft.v1 import graph_pb2, models_pb2, surgery_pb2, tuning_pb2

pytestmark = pytest.mark.e2e

NAMES = ["models", "graph", "surgery", "tuning", "agent"]
FILES = [import_module(f"netgraft.v1.{name}_pb2") for name in NAMES]
METHODS = [
    method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


def call(system: System, method: MethodDescriptor, metadata: list[tuple[str, str]]) -> grpc.Call:
    """Call any rpc with an empty request over a bare channel; returns the failed call."""
    service = method.containing_service
    request = message_factory.GetMessageClass(method.input_type)()
    reply = message_factory.GetMessageClass(method.output_type)
    with grpc.insecure_channel(system.grpc) as channel:
        kind = channel.unary_stream if method.server_streaming else channel.unary_unary
        if method.client_streaming:
            kind = channel.stream_unary
        stub = kind(
            f"/{service.full_name}/{method.name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )
        metadata = [*metadata, ("application", service.name.lower())]
        with pytest.raises(grpc.RpcError) as failure:
            sent = iter([request]) if method.client_streaming else request
            result = stub(sent, metadata=metadata, timeout=60)
            if method.server_streaming:
                list(result)
    assert isinstance(failure.value, grpc.Call)
    return failure.value


@pytest.mark.parametrize("token", [None, "Bearer wrong", "Basic x", "Bearer "])
@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_no_rpc_answers_without_the_token(
    system: System, method: MethodDescriptor, token: str | None
) -> None:
    failure = call(system, method, [("authorization", token)] if token else [])
    assert failure.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "Traceback" not in failure.details()


def test_an_error_has_a_status_a_constant_reason_and_a_sentence_in_both_languages(
    system: System,
) -> None:
    method = METHODS[0]
    for language, words in (("en", "There is no model"), ("zh-CN", "没有名为")):
        metadata = [("authorization", f"Bearer {system.token}"), ("accept-language", language)]
        failure = call(system, method, metadata)
        assert failure.code() is grpc.StatusCode.NOT_FOUND
        assert words in failure.details()
        info = error_details_pb2.ErrorInfo()
        assert rpc_status.from_call(failure).details[0].Unpack(info)
        assert info.reason == "UNKNOWN_MODEL"


def test_reflection_tells_every_service_to_plain_grpcurl(system: System) -> None:
    with grpc.insecure_channel(system.grpc) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        names = set(database.get_services())
        wanted = {f"netgraft.v1.{s}" for s in ("Models", "Graphs", "Surgery", "Tuning", "Agent")}
        assert wanted <= names
        found = database.FindFileContainingSymbol("netgraft.v1.Graphs")
        assert found.name == "netgraft/v1/graph.proto"


def test_the_ports_are_bound_to_loopback_only(system: System) -> None:
    others = [
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    ]
    assert others, "this machine has no address but loopback to try"
    for port in (system.grpc.rpartition(":")[2], system.web.rpartition(":")[2]):
        for address in others:
            with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
                socket.create_connection((address, int(port)), timeout=2)


def test_a_program_draws_and_retargets_in_a_few_lines(system: System) -> None:
    with system.client() as netgraft:
        graph = netgraft.graphs.DrawGraph(graph_pb2.DrawGraphRequest(model="resnet50"))
        assert graph.parameters == 25_557_032
        edit = netgraft.surgery.RetargetModel(
            surgery_pb2.RetargetModelRequest(model="resnet50", classes=100)
        )
        head = edit.heads[0]
        assert (head.path, head.in_features, head.before, head.after) == ("fc", 2048, 1000, 100)
        assert edit.parameters_before == 25_557_032
        assert edit.parameters_after == 25_557_032 - 2049 * 1000 + 2049 * 100
        assert "fc: Linear(2048 → 1000) → Linear(2048 → 100)" in edit.summary
        diff = netgraft.graphs.CompareGraphs(
            graph_pb2.CompareGraphsRequest(a="resnet50", b=edit.model.id)
        )
        assert [d.path for d in diff.differences] == ["fc"]
        undone = netgraft.surgery.UndoEdit(surgery_pb2.UndoEditRequest(model=edit.model.id))
        assert undone.model.id == graph.model_id


async def test_the_asyncio_client_does_the_same(system: System) -> None:
    async with AsyncClient(system.grpc, system.token) as netgraft:
        model = await netgraft.models.ResolveModel(models_pb2.ResolveModelRequest(model="resnet18"))
        assert model.base.startswith("torchvision/resnet18@")
        chunks = [
            chunk
            async for chunk in netgraft.models.ExportModel(
                models_pb2.ExportModelRequest(model=model.id, format="python")
            )
        ]
        assert chunks[0].size == sum(len(chunk.data) for chunk in chunks)
        compile(b"".join(chunk.data for chunk in chunks), chunks[0].name, "exec")
        with pytest.raises(RemoteError) as error:
            _ = [
                chunk
                async for chunk in netgraft.models.ExportModel(
                    models_pb2.ExportModelRequest(model=model.id, format="zip")
                )
            ]
        assert error.value.reason == "INVALID_VALUE"


@pytest.mark.parametrize("classes", [0, -5, 10**9])
def test_an_impossible_number_of_classes_is_refused(system: System, classes: int) -> None:
    request = surgery_pb2.RetargetModelRequest(model="resnet18", classes=classes)
    with system.client() as netgraft, pytest.raises(RemoteError) as error:
        netgraft.surgery.RetargetModel(request)
    assert error.value.reason == "INVALID_CLASSES"
    assert error.value.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"model": "resnet500", "data": "digits"}, "UNKNOWN_MODEL"),
        ({"data": "digits"}, "HEAD_MISMATCH"),
        ({"data": "./missing"}, "DATA_NOT_FOUND"),
        ({"data": "/etc"}, "OUTSIDE_DATA_ROOTS"),
        ({"data": "../"}, "OUTSIDE_DATA_ROOTS"),
        ({"data": "./empty"}, "INVALID_DATA"),
        ({"data": "./single"}, "INVALID_DATA"),
        ({"data": "digits", "batch_size": 0}, "INVALID_VALUE"),
        ({"data": "digits", "lr": -1.0}, "INVALID_VALUE"),
        ({"data": "digits", "lr": 1e9}, "INVALID_VALUE"),
        ({"data": "digits", "epochs": 0}, "INVALID_VALUE"),
        ({"data": "digits", "optimizer": "magic"}, "INVALID_VALUE"),
        ({"data": "digits", "workers": 1000}, "NOT_ENOUGH_WORKERS"),
        ({"data": "digits", "device": "gpu"}, "NOT_ENOUGH_WORKERS"),
    ],
)
def test_nothing_is_spent_on_a_run_that_cannot_work(
    system: System, bad_data: None, spec: dict, reason: str
) -> None:
    with system.client() as netgraft:
        before = len(netgraft.tuning.ListJobs(tuning_pb2.ListJobsRequest()).jobs)
        model = spec.pop("model", None) or _retargeted(netgraft, reason)
        with pytest.raises(RemoteError) as error:
            netgraft.tuning.StartTuning(
                tuning_pb2.StartTuningRequest(spec=tuning_pb2.TuningSpec(model=model, **spec))
            )
        assert error.value.reason == reason
        assert len(netgraft.tuning.ListJobs(tuning_pb2.ListJobsRequest()).jobs) == before


def _retargeted(netgraft, reason: str) -> str:  # type: ignore[no-untyped-def]
    request = surgery_pb2.RetargetModelRequest(
        model="mobilenet_v2", classes=12 if reason == "HEAD_MISMATCH" else 10
    )
    return str(netgraft.surgery.RetargetModel(request).model.id)


@pytest.fixture(scope="module")
def bad_data(system: System) -> None:
    (system.data / "empty").mkdir()
    write_pictures(system.data / "single", classes=1, each=3)


def test_a_run_on_a_picture_that_cannot_be_read_ends_and_names_it(system: System) -> None:
    write_pictures(system.data / "torn", classes=2, each=6)
    torn = system.data / "torn" / "class1" / "2.png"
    torn.write_bytes(torn.read_bytes()[:40])
    spec = tuning_pb2.TuningSpec(model="mobilenet_v2@none", data="./torn", epochs=1)
    with system.client() as netgraft:
        job = netgraft.tuning.StartTuning(tuning_pb2.StartTuningRequest(spec=spec))
        list(netgraft.tuning.WatchJob(tuning_pb2.WatchJobRequest(id=job.id)))
        job = netgraft.tuning.GetJob(tuning_pb2.GetJobRequest(id=job.id))
    assert job.state == tuning_pb2.JOB_STATE_FAILED
    assert job.error_reason == "INVALID_DATA"
    assert "class1/2.png" in job.error_message


def test_a_file_is_sent_goes_on_where_it_broke_and_is_a_model(
    system: System, tmp_path: Path
) -> None:
    file = tmp_path / "net.pth"
    torch.save(torchvision.models.squeezenet1_1(num_classes=12), file)
    data, sha256 = file.read_bytes(), hashlib.sha256(file.read_bytes()).hexdigest()
    header = models_pb2.UploadHeader(sha256=sha256, name="net.pth", size=len(data))
    cut = 2 * 2**20
    with system.client() as client:
        with pytest.raises(RemoteError) as error:
            client.models.UploadFile(
                iter(
                    [
                        models_pb2.UploadFileRequest(header=header),
                        models_pb2.UploadFileRequest(data=data[:cut]),
                    ]
                )
            )
        assert error.value.reason == "UPLOAD_INCOMPLETE"
        sent: list[int] = []
        done = send(client.models, file, progress=lambda at, _: sent.append(at))
        assert (sent[0], sent[-1]) == (cut, len(data)), "what had arrived is not sent again"
        again = send(client.models, file, progress=lambda at, _: sent.append(at))
        assert again.model == done.model
        request = surgery_pb2.RetargetModelRequest(model=done.model.id, classes=3)
        (head,) = client.surgery.RetargetModel(request).heads
        assert (head.type, head.before, head.after) == ("Conv2d", 12, 3)
