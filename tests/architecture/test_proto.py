"""The contract is a document, and its stubs are its own."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

PROTO = Path(__file__).parents[2] / "proto"
SOURCES = sorted(PROTO.glob("netgraft/v1/*.proto"))

# Field numbers of descriptor.proto, of which paths to comments are made.
MESSAGES, ENUMS, SERVICES = 4, 5, 6
FIELDS, NESTED_MESSAGES, NESTED_ENUMS = 2, 3, 4
METHODS = ENUM_VALUES = 2


def described(root: Path, sources: list[Path], out: Path) -> list[FileDescriptorProto]:
    """The files as protoc reads them, comments included."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", "--include_source_info"]
    subprocess.run([*command, f"--descriptor_set_out={out}", *sources], check=True)
    return list(FileDescriptorSet.FromString(out.read_bytes()).file)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    return described(PROTO, SOURCES, tmp_path_factory.mktemp("proto") / "netgraft.bin")


def uncommented(file: FileDescriptorProto) -> list[str]:
    """Names of services, rpcs, messages, enums and fields without a comment."""
    said = {tuple(place.path) for place in file.source_code_info.location if place.leading_comments}
    return [name for path, name in named(file) if path not in said]


def named(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Everything that needs a comment: its path in the file and its name."""
    for i, service in enumerate(file.service):
        yield (SERVICES, i), service.name
        for j, method in enumerate(service.method):
            yield (SERVICES, i, METHODS, j), f"{service.name}.{method.name}"
    for i, message in enumerate(file.message_type):
        yield from in_message((MESSAGES, i), message, message.name)
    for i, enum in enumerate(file.enum_type):
        yield from in_enum((ENUMS, i), enum, enum.name)


def in_message(
    path: tuple[int, ...], message: DescriptorProto, name: str
) -> Iterator[tuple[tuple[int, ...], str]]:
    if message.options.map_entry:
        return
    yield path, name
    for i, field in enumerate(message.field):
        # A message in a oneof is described where it is defined.
        if not (in_oneof(field) and field.type == field.TYPE_MESSAGE):
            yield (*path, FIELDS, i), f"{name}.{field.name}"
    for i, nested in enumerate(message.nested_type):
        yield from in_message((*path, NESTED_MESSAGES, i), nested, f"{name}.{nested.name}")
    for i, enum in enumerate(message.enum_type):
        yield from in_enum((*path, NESTED_ENUMS, i), enum, f"{name}.{enum.name}")


def in_oneof(field: FieldDescriptorProto) -> bool:
    return field.HasField("oneof_index") and not field.proto3_optional


def in_enum(
    path: tuple[int, ...], enum: EnumDescriptorProto, name: str
) -> Iterator[tuple[tuple[int, ...], str]]:
    yield path, name
    for i, value in enumerate(enum.value):
        yield (*path, ENUM_VALUES, i), f"{name}.{value.name}"


def enums(file: FileDescriptorProto) -> Iterator[EnumDescriptorProto]:
    yield from file.enum_type
    waiting = list(file.message_type)
    for message in waiting:
        yield from message.enum_type
        waiting.extend(message.nested_type)


def test_every_service_rpc_message_enum_and_field_is_commented(
    files: list[FileDescriptorProto],
) -> None:
    assert len(files) == 5
    assert [f"{file.name}: {name}" for file in files for name in uncommented(file)] == []


def test_a_missing_comment_is_found(tmp_path: Path) -> None:
    source = tmp_path / "bare.proto"
    source.write_text(
        """
        syntax = "proto3";
        // Said.
        message Said { string unsaid = 1; }
        message Bare { enum Kind { ZERO = 0; } }
        // Said.
        service Service { rpc Call(Said) returns (Bare); }
        """
    )
    [file] = described(tmp_path, [source], tmp_path / "bare.bin")
    missing = ["Service.Call", "Said.unsaid", "Bare", "Bare.Kind", "Bare.Kind.ZERO"]
    assert uncommented(file) == missing


def test_method_names_are_unique_over_all_services(files: list[FileDescriptorProto]) -> None:
    """Ray Serve routes by the last path segment alone."""
    names = Counter(m.name for file in files for s in file.service for m in s.method)
    assert len(names) > 20
    assert [name for name, times in names.items() if times > 1] == []


def test_enums_start_with_an_unspecified_zero_named_after_them(
    files: list[FileDescriptorProto],
) -> None:
    found = [enum for file in files for enum in enums(file)]
    assert {enum.name for enum in found} >= {"WeightsPolicy", "JobState", "Kind"}
    for enum in found:
        prefix = "".join(f"_{c}" if c.isupper() else c for c in enum.name).lstrip("_").upper()
        assert enum.value[0].name == f"{prefix}_UNSPECIFIED"
        assert enum.value[0].number == 0
        assert all(value.name.startswith(f"{prefix}_") for value in enum.value)


def test_the_committed_stubs_are_fresh() -> None:
    command = [sys.executable, str(PROTO / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stale_stub_is_found(tmp_path: Path) -> None:
    copy = tmp_path / "proto"
    shutil.copytree(PROTO, copy, ignore=shutil.ignore_patterns("__pycache__"))
    source = copy / "netgraft" / "v1" / "graph.proto"
    source.write_text(source.read_text().replace("string focus = 2;", "string focus = 20;"))
    command = [sys.executable, str(copy / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "graph_pb2.py" in done.stdout
