"""Read what torch.save wrote without running anything that is in it.

A pickle may call whatever it can name. Here it can name the classes of network layers
in torch, torchvision and timm, a few activations, and what torch itself considers safe
for tensors; anything else is refused by its name before a byte is unpickled. Layers are
made without their constructors, as pickle makes them, and none may have hooks or
replaced methods.
"""

import importlib
import io
import pickle
import pickletools
import threading
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Generator, Iterable, Mapping
from enum import Enum
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn
from torch._weights_only_unpickler import _get_allowed_globals

from netgraft.errors import TooLarge, UnsafeFile, UnsupportedFile
from netgraft.language import Message
from netgraft.models.untrusted.formats import LEGACY, member
from netgraft.models.untrusted.limits import MOST_NODES
from netgraft.models.untrusted.patching import override
from netgraft.settings import settings

PACKAGES = ("torch.nn.modules.", "torchvision.models.", "torchvision.ops.", "timm.models.",
            "timm.layers.")  # fmt: skip
"""Packages of the allowed classes of layers, and of the enumerations among their settings."""

NAMED = frozenset(
    (
        "argparse.Namespace",
        "functools.partial",
        "timm.models._features.FeatureInfo",
        "timm.models._pretrained.PretrainedCfg",
        "torch.nn.parallel.data_parallel.DataParallel",
        "torchvision.models.detection._utils.BalancedPositiveNegativeSampler",
        "torchvision.models.detection._utils.BoxCoder",
        "torchvision.models.detection._utils.Matcher",
        "torchvision.models.detection._utils.SSDMatcher",
        *(
            f"torch.nn.functional.{name}"
            for name in ("relu", "silu", "hardswish", "mish", "elu", "selu", "relu6", "tanh",
                         "sigmoid", "hardsigmoid", "leaky_relu")
        ),
        "torch._C._nn.gelu",
        "torch._C._nn.softplus",
        "torch.relu",
        "torch.sigmoid",
        "torch.tanh",
    )
)  # fmt: skip
"""Other allowed names: plain values that layers hold, and activations."""

MOST_PICKLE = 16 * 2**20
"""Bytes of a pickle, without the tensors' values."""
MOST_STEPS = 2_000_000
"""Instructions of a pickle."""
LEGACY_PICKLES = 4
"""Magic number, version, system, and the object (torch/serialization.py: _legacy_save)."""

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
         "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks",
         "_load_state_dict_post_hooks")  # fmt: skip

DAMAGED = (RuntimeError, EOFError, ValueError, TypeError, LookupError, AttributeError, OSError,
           AssertionError, OverflowError, MemoryError)  # fmt: skip
"""Errors of torch.load on bytes that are no checkpoint."""

_one_at_a_time = threading.Lock()
"""torch keeps the safe classes in the process."""


def load(file: BinaryIO, name: str, device: str = "cpu") -> Any:
    """Load what torch.save wrote; tensors on the device ("meta": their values are not kept).

    Raises UnsafeFile, naming every class that is not allowed, UnsupportedFile and TooLarge.
    """
    names = set(_named(file, name))
    classes = {found: allowed(found) for found in names - _get_allowed_globals().keys()}
    if refused := sorted(found for found, value in classes.items() if value is None):
        raise UnsafeFile(name=name, classes=_listed(refused))
    safe: list[Callable[..., Any] | tuple[Callable[..., Any], str]]
    safe = [(value, found) for found, value in classes.items()]
    file.seek(0)

    def refuse(_original: Any, module: nn.Module, *_: Any, **__: Any) -> None:
        raise pickle.UnpicklingError(f"{type(module).__name__} is called, not restored")

    try:
        with (
            _one_at_a_time,
            override(nn.Module, "__init__", refuse),
            torch.serialization.safe_globals(safe),
        ):
            found = torch.load(file, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        # Every name was allowed above: what is refused now is not of torch.save's making,
        # or asks for layers in the way that it had before 1.6.
        old = Message(
            "it is a whole model as torch.save wrote it before 1.6, which cannot be read safely."
        )
        none = Message("it is not a checkpoint that torch.save wrote, or it is damaged.")
        whole = any("nn.modules" in found for found in classes)
        raise UnsupportedFile(path=name, problem=old if whole else none) from error
    except DAMAGED as error:
        problem = Message("it is damaged, or was cut short.")
        raise UnsupportedFile(path=name, problem=problem) from error
    _check(found, name)
    return found


def allowed(full: str) -> Any:
    """The class or function of a name that a pickle may use; None for any other."""
    module_name, _, attribute = full.rpartition(".")
    if full not in NAMED and not f"{module_name}.".startswith(PACKAGES):
        return None
    try:
        found = getattr(importlib.import_module(module_name), attribute, None)
    except ImportError:
        return None
    if full in NAMED:
        return found
    # Of the module itself: not what it imported from elsewhere.
    if not isinstance(found, type) or found.__module__ != module_name:
        return None
    return found if issubclass(found, nn.Module | Enum) else None


def model_in(found: Any) -> nn.Module | dict[str, Tensor] | None:
    """The module or the state dict in what was loaded, also where training scripts put it."""
    if isinstance(found, nn.DataParallel):
        return model_in(found.module)
    if isinstance(found, nn.Module):
        return found
    if not isinstance(found, Mapping):
        return None
    if found and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in found.items()):
        return dict(found)
    for key in ("state_dict", "model", "model_state_dict", "net", "network", "module", "weights"):
        inner = found.get(key)
        if isinstance(inner, nn.Module) or (isinstance(inner, Mapping) and inner is not found):
            return model_in(inner)
    return None


def _named(file: BinaryIO, name: str) -> Generator[str, None, None]:
    """Every class and function that the pickles of a file name."""
    file.seek(0)
    start = file.read(len(LEGACY))
    file.seek(0)
    if start.startswith(b"PK\x03\x04"):
        data, pickles = member(file, "data.pkl", name), 1
    else:
        data, pickles = file.read(MOST_PICKLE + 1), LEGACY_PICKLES if start == LEGACY else 1
    stream = memoryview(data)
    at = 0
    for _ in range(pickles):
        length = yield from _names(stream[at:], name)
        at += length


def _names(data: memoryview, name: str) -> Generator[str, None, int]:
    """Names in the first pickle of the bytes; returns its length."""
    stream = io.BytesIO(data)
    strings: list[str] = []
    memo: dict[int, str] = {}
    try:
        for step, (code, argument, place) in enumerate(pickletools.genops(stream)):
            if step > MOST_STEPS or (place or 0) > MOST_PICKLE:
                what = Message("the pickle in {name}", name=name)
                raise TooLarge(what=what, limit=Message("{most:,} instructions", most=MOST_STEPS))
            _follow(code.name, argument, strings, memo)
            if code.name in ("GLOBAL", "INST"):
                yield _renamed(*str(argument).split(" ", 1))
            elif code.name == "STACK_GLOBAL":
                yield _renamed(*(strings[-2:] if len(strings) > 1 else ("?", "?")))
            elif code.name in ("EXT1", "EXT2", "EXT4"):
                yield f"copyreg.extension{argument}"
    except (ValueError, EOFError, UnicodeDecodeError, IndexError) as error:
        problem = Message("it is damaged, or was cut short.")
        raise UnsupportedFile(path=name, problem=problem) from error
    return stream.tell()


def _follow(code: str, argument: Any, strings: list[str], memo: dict[int, str]) -> None:
    """Keep the texts that a STACK_GLOBAL could take, as far as the memo repeats them."""
    if code.endswith("UNICODE"):
        strings.append(str(argument))
    elif code in ("BINGET", "LONG_BINGET") and argument in memo:
        strings.append(memo[argument])
    elif code in ("BINPUT", "LONG_BINPUT") and strings:
        memo[argument] = strings[-1]
    elif code == "MEMOIZE":
        memo[len(memo)] = strings[-1] if strings else ""
    del strings[:-64]


def _renamed(module: str, attribute: str) -> str:
    """A name as Python 3 has it: pickles of protocol 2 use Python 2's."""
    if (module, attribute) in NAME_MAPPING:
        module, attribute = NAME_MAPPING[module, attribute]
    else:
        module = IMPORT_MAPPING.get(module, module)
    return f"{module}.{attribute}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(_printable(name) for name in names[:5])
    more = len(names) - 5
    return Message("{names} and {more} more", names=shown, more=more) if more > 0 else shown


def _printable(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._" else "?" for c in name[:100])


def _check(found: Any, name: str) -> None:
    """Raises TooLarge and UnsafeFile for what came out."""
    model = model_in(found)
    if isinstance(model, nn.Module):
        try:
            parts = dict(model.named_modules())
            tensors: Iterable[Tensor] = [*model.parameters(), *model.buffers()]
        except (RecursionError, AttributeError, TypeError) as error:
            problem = Message("its layers do not hold together; it may be of another version.")
            raise UnsupportedFile(path=name, problem=problem) from error
        _check_parts(parts, name)
    else:
        parts, tensors = {}, (model or {}).values()
    tensors = list(tensors)
    if max(len(parts), len(tensors)) > MOST_NODES:
        what, most = Message("the model in {name}", name=name), MOST_NODES
        raise TooLarge(what=what, limit=Message("{most:,} layers and tensors", most=most))
    # A view with stride 0 claims elements that no byte of the file stands for.
    size = sum(value.numel() * value.element_size() for value in tensors)
    if size > 2 * settings().file_bytes:
        limit = f"{2 * settings().file_mib:,} MiB"
        raise TooLarge(what=Message("the tensors in {name}, unpacked,", name=name), limit=limit)


def _check_parts(parts: Mapping[str, nn.Module], name: str) -> None:
    for path, part in parts.items():
        own = vars(part)
        hooks = [key for key in HOOKS if own.get(key)]
        replaced = [key for key in own if callable(getattr(type(part), key, None))]
        if found := hooks + replaced:
            place = f"{path or type(part).__name__}.{found[0]}"
            code = Message("code of its own at {place}", place=_printable(place))
            raise UnsafeFile(name=name, classes=code)
