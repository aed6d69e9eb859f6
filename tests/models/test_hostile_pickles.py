"""Pickles that mean harm: each is refused by name, before anything in it has run."""

import ast
import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from netgraft.anatomy.anatomy import Anatomies
from netgraft.errors import UnsafeFile, UnsupportedFile
from netgraft.models.export.code import python
from netgraft.models.resolve import resolve
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.surgery.freeze import set_trainable
from netgraft.surgery.retarget import retarget

CODE = "__import__('os').mkdir({canary!r})"
SHELL = "mkdir {canary}"


def call(module: str, name: str, *texts: str) -> bytes:
    """A pickle, without its end, that calls a function of a module with texts."""
    arguments = b"".join(text(value) for value in texts)
    return f"c{module}\n{name}\n(".encode() + arguments + b"tR"


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def whole(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


CALLS: dict[str, tuple[str, ...]] = {
    "posix.system": (SHELL,),
    "os.system": (SHELL,),
    "nt.system": (SHELL,),
    "os.popen": (SHELL,),
    "os.mkdir": ("{canary}",),
    "os.execl": ("/bin/mkdir", "mkdir", "{canary}"),
    "subprocess.getoutput": (SHELL,),
    "subprocess.Popen": ("mkdir",),
    "commands.getoutput": (SHELL,),
    "pty.spawn": ("mkdir",),
    "builtins.eval": (CODE,),
    "builtins.exec": (CODE,),
    "__builtin__.eval": (CODE,),
    "builtins.__import__": ("os",),
    "builtins.open": ("{canary}", "w"),
    "builtins.getattr": ("os", "system"),
    "io.open": ("{canary}", "w"),
    "codecs.open": ("{canary}", "w"),
    "importlib.import_module": ("os",),
    "runpy.run_path": ("{canary}",),
    "shutil.copytree": ("/etc", "{canary}"),
    "pathlib.Path.mkdir": ("{canary}",),
    "timeit.timeit": (CODE,),
    "code.interact": (CODE,),
    "types.CodeType": (CODE,),
    "marshal.loads": (CODE,),
    "pickle.loads": (CODE,),
    "ctypes.CDLL": ("{canary}",),
    "operator.attrgetter": ("system",),
    "functools.reduce": ("{canary}",),
    "webbrowser.open": ("file://{canary}",),
    "urllib.request.urlopen": ("file://{canary}",),
    "socket.create_connection": ("127.0.0.1",),
    "numpy.load": ("{canary}",),
    "torch.load": ("{canary}",),
    "torch.hub.load": ("{canary}", "x"),
    "torch.jit.load": ("{canary}",),
    "torch.utils.cpp_extension.load": ("x", "{canary}"),
    "torch.nn.modules.module.os.system": (SHELL,),
    "torch.nn.modules.linear.torch.load": ("{canary}",),
    "timm.models._helpers.load_state_dict": ("{canary}",),
    "torchvision.models._api.get_model": ("resnet18",),
}
"""What is called, as module and name, and with which texts."""

ODD: dict[str, Callable[[str], bytes]] = {
    # other instructions than GLOBAL and REDUCE
    "INST": lambda canary: b"(S'" + SHELL.format(canary=canary).encode() + b"'\nios\nsystem\n.",
    "OBJ": lambda canary: whole(b"(cos\nsystem\n" + text(SHELL.format(canary=canary)) + b"o"),
    "STACK_GLOBAL": lambda canary: (
        b"\x80\x04\x8c\x02os\x8c\x06system\x93" + text(SHELL.format(canary=canary)) + b"\x85R."
    ),
    "STACK_GLOBAL of the memo": lambda canary: (
        b"\x80\x04\x8c\x06system\x940\x8c\x02os\x940h\x01h\x00\x93"
        + text(SHELL.format(canary=canary))
        + b"\x85R."
    ),
    "EXT1": lambda _: whole(b"\x82\x01)R"),
    # harm deep inside of what looks like a checkpoint
    "nested": lambda canary: whole(
        b"}" + text("state_dict") + b"}" + text("w") + call("os", "mkdir", canary) + b"ss"
    ),
    "second after the first": lambda canary: whole(b"}0" + call("os", "mkdir", canary)),
    "partial of a shell": lambda canary: whole(
        b"cfunctools\npartial\n(cos\nsystem\n" + text(SHELL.format(canary=canary)) + b"tR)R"
    ),
}


def zipped(data: bytes) -> bytes:
    """As torch.save lays it out since 1.6."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
    return out.getvalue()


def legacy(data: bytes) -> bytes:
    """As torch.save laid it out before."""
    head = (torch.serialization.MAGIC_NUMBER, 1001, {"little_endian": True})
    return b"".join(pickle.dumps(part, 2) for part in head) + data + pickle.dumps([], 2)


WRAPPED = {
    "plain.pth": bytes,
    "zipped.pt": zipped,
    "legacy.bin": legacy,
    "renamed.safetensors": zipped,
    "renamed.onnx": bytes,
    "renamed.ckpt": legacy,
}


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a pickle that runs would make."""
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    return tmp_path / "ran"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'db.sqlite'}")


def refused(data: bytes, canary: Path, store: Store) -> dict[str, str]:
    """Why, under each of the wrappings."""
    said = {}
    for name, wrap in WRAPPED.items():
        canary.with_name(name).write_bytes(wrap(data))
        with pytest.raises((UnsafeFile, UnsupportedFile)) as error:
            resolve(name, "pretrained", store)
        said[name] = str(error.value)
    assert not canary.exists()
    assert store.files.glob(f"{store.root}/files/*") == []
    return said


@pytest.mark.parametrize("full", CALLS)
def test_a_call_is_refused_by_its_name_and_not_carried_out(
    full: str, canary: Path, store: Store
) -> None:
    module, _, name = full.rpartition(".")
    data = whole(call(module, name, *(value.format(canary=canary) for value in CALLS[full])))
    said = refused(data, canary, store)
    assert "its content is not what .onnx says" in said.pop("renamed.onnx")
    for sentence in said.values():
        assert name in sentence


@pytest.mark.parametrize("kind", ODD)
def test_no_other_way_of_calling_gets_through(kind: str, canary: Path, store: Store) -> None:
    refused(ODD[kind](str(canary)), canary, store)


def test_names_in_a_file_never_become_code_in_the_exported_python(
    canary: Path, store: Store
) -> None:
    evil = "fc\nopen('ran', 'w') #\"\"\"\\"
    net = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3), pool=nn.AdaptiveAvgPool2d(1)))
    net.add_module("flat", nn.Flatten())
    net.add_module(evil, nn.Linear(4, 10))
    net.num_classes = 10
    net.__dict__["class\nopen('ran', 'w')"] = 10
    name = 'net\'"""; open(chr(114)); .pth'
    torch.save(net, canary.with_name(name))
    recipe = resolve(f"./{name}", "pretrained", store).recipe
    edited = retarget(recipe, 3, (), Anatomies(store)).recipe
    frozen = set_trainable(edited, (evil,), False, Anatomies(store)).recipe
    tree = ast.parse(python(frozen, 'net"\n.safetensors', store))
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not called & {"open", "chr"}
    assert "model.get_submodule" in called
    assert evil in {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


def test_an_archive_within_an_archive_is_no_checkpoint(canary: Path, store: Store) -> None:
    refused(zipped(whole(call("os", "mkdir", str(canary)))), canary, store)
