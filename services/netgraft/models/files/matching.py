"""A user's tensors in a structure of the zoo, and a user's whole module: files that can be built.

A state dict names tensors and not operators. Which structure they belong to is found by
comparing their names and shapes with the zoo's; a head may count other classes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from netgraft.errors import UnsupportedFile
from netgraft.language import Message
from netgraft.models import resolve
from netgraft.models.files import fingerprints
from netgraft.models.files.fingerprints import Shapes, Signature, counted
from netgraft.models.files.open import KIND
from netgraft.models.layers.heads import resize_head
from netgraft.models.recipe import Base, HeadEdit, UserFile
from netgraft.models.sources.file import only_drawn, user_file
from netgraft.models.sources.keras import module as keras_module
from netgraft.models.untrusted.unpickle import load, model_in

if TYPE_CHECKING:
    from netgraft.store.store import Store

COUNTING = frozenset({"classification", "segmentation", "video"})
"""Tasks whose heads have one output for each class."""
DEEPEST_PREFIX = 3
MOST_CANDIDATES = 8
"""Structures that are built to compare with; alike ones stand side by side in the index."""

SIDES = (224, 32, 28, 64, 299, 128, 96, 256, 384, 512)
"""Sides of pictures that are tried on a module that is in no zoo, the usual first."""
FRAMES = 16


@dataclass(frozen=True)
class Fit:
    """A structure of the zoo that a file's tensors have."""

    base: Base
    heads: tuple[HeadEdit, ...]
    """Those that differ."""
    also: tuple[str, ...]
    """Other names whose tensors have the same names and shapes."""


def find(shapes: Shapes) -> Fit | None:
    """The structure that tensors of these names and shapes belong to, or None."""
    for spelled in spellings(counted(shapes.items())):
        near = fingerprints.fitting(spelled)
        for line in near[:MOST_CANDIDATES]:
            heads = _compare(line, spelled)
            if heads is not None:
                return Fit(line.base, heads, _others(near, line))
    return None


@dataclass(frozen=True)
class Near:
    """The structure of the zoo that is most like tensors that fit none."""

    name: str
    lacking: tuple[str, ...]
    """Its tensors that are missing, or of another shape."""
    of: int
    """How many it has."""


def nearest(shapes: Shapes) -> Near | None:
    """The structure with the most tensors in common; None where nothing is like it."""
    spelled = min(spellings(counted(shapes.items())), key=lambda each: sum(map(len, each)))
    line = fingerprints.nearest(spelled)
    if line is None:
        return None
    module = resolve.base_module(line.base, device="meta")
    own = counted((key, tuple(value.shape)) for key, value in module.state_dict().items())
    lacking = tuple(key for key, shape in own.items() if spelled.get(key) != shape)
    return Near(_named(line), lacking, len(own))


def spellings(tensors: Mapping[str, tuple[int, ...]]) -> Iterator[dict[str, tuple[int, ...]]]:
    """The names as they are, and without the prefixes that wrappers put before all of them.

    DataParallel writes "module.", torch.compile "_orig_mod.", training scripts "model.".
    """
    found = dict(tensors)
    for _ in range(DEEPEST_PREFIX + 1):
        yield found
        firsts = {key.partition(".")[0] for key in found}
        if len(firsts) != 1 or not all("." in key for key in found):
            return
        found = {key.partition(".")[2]: value for key, value in found.items()}


def _others(near: Iterable[Signature], chosen: Signature) -> tuple[str, ...]:
    """A few other names that fit; "quantized_" ones are the same models by another name."""
    names = dict.fromkeys(_named(line) for line in near if "quantized" not in line.name)
    names.pop(_named(chosen), None)
    return tuple(names)[:3]


def _named(line: Signature) -> str:
    return line.name if line.source == "torchvision" else f"{line.source}/{line.name}"


def _compare(line: Signature, shapes: Shapes) -> tuple[HeadEdit, ...] | None:
    """Heads in which the tensors differ from the structure; None when more differs."""
    module = resolve.base_module(line.base, device="meta")
    own = counted((key, tuple(value.shape)) for key, value in module.state_dict().items())
    if own.keys() != shapes.keys():
        return None
    different = {key.rpartition(".")[0] for key in own if own[key] != tuple(shapes[key])}
    if different and (resolve.task(line.base) not in COUNTING or not different <= set(line.heads)):
        return None
    heads = [_head(module, path, own, shapes) for path in sorted(different)]
    found = tuple(head for head in heads if head)
    return found if len(found) == len(heads) else None


def _head(module: nn.Module, path: str, own: Shapes, shapes: Shapes) -> HeadEdit | None:
    layer = module.get_submodule(path)
    keys = [f"{path}.{name}" for name, _ in layer.named_parameters(recurse=False)]
    weight = max(keys, key=lambda key: len(own[key]))
    if len({shapes[key][0] for key in keys if shapes[key]}) != 1:
        return None
    if any(own[key][1:] != tuple(shapes[key])[1:] for key in keys):
        return None
    inputs = own[weight][1] * getattr(layer, "groups", 1) if len(own[weight]) > 1 else 0
    kind = type(layer).__name__
    return HeadEdit(path, kind, inputs, own[weight][0], shapes[weight][0])


# Building


def adopt(
    base: Base, store: "Store", device: "torch.device | str" = "cpu", *, load_weights: bool = True
) -> nn.Module:
    """The module of a base with a user's file, in training mode.

    Raises OnlyDrawn for a file that holds no module, UnsupportedFile and FileNotFoundError.
    """
    if base.source == "file":
        return _whole(base, store, device)
    if base.source == "hf":
        from netgraft.models.sources.huggingface import build as hf_build

        return hf_build.build(base, store, device, load_weights=load_weights)
    library = replace(base, file=None)
    module = resolve.base_module(library, device=device, load_weights=False)
    file = user_file(base)
    for head in file.heads:
        resize_head(module, head.path, head.after)
        _recount(module, head)
    if load_weights and torch.device(device).type != "meta":
        try:
            module.load_state_dict(tensors(file, store, module))
        except RuntimeError as error:
            problem = Message("its tensors do not fit any more; open the file again.")
            raise UnsupportedFile(path=file.name, problem=problem) from error
    return module


def _recount(module: nn.Module, head: HeadEdit) -> None:
    """What the modules around a head remember of its class count."""
    path = head.path
    while path:
        path = path.rpartition(".")[0]
        owner = module.get_submodule(path)
        if vars(owner).get("num_classes") == head.before:
            owner.num_classes = head.after  # type: ignore[assignment]


def _whole(base: Base, store: "Store", device: "torch.device | str") -> nn.Module:
    file = user_file(base)
    if not file.input_shape and file.kind != "module":
        raise only_drawn(base)
    with store.open(KIND, file.sha256) as stream:
        if file.kind == "keras":
            return keras_module.load(stream, file.name).to(device)
        meta = torch.device(device).type == "meta"
        module = model_in(load(stream, file.name, "meta" if meta else "cpu"))
    assert isinstance(module, nn.Module)
    return module.train().to(device)


def tensors(file: UserFile, store: "Store", module: nn.Module) -> dict[str, Tensor]:
    """A file's tensors under the names that a module gives them."""
    with store.open(KIND, file.sha256) as stream:
        if file.kind == "safetensors":
            from safetensors.torch import load as load_tensors

            found = load_tensors(stream.read())
        else:
            state = model_in(load(stream, file.name))
            assert isinstance(state, dict)
            found = state
    wanted = counted((key, ()) for key in module.state_dict())
    shapes = {key: tuple(value.shape) for key, value in found.items()}
    for spelled in spellings(shapes):
        if counted(spelled.items()).keys() == wanted.keys():
            return dict(zip(spelled, found.values(), strict=True))
    raise UnsupportedFile(path=file.name, problem=Message("its tensors do not fit any more."))


def values(base: Base, store: "Store") -> dict[str, Tensor]:
    """The tensors of a base with a user's file, by the names in its module, on the CPU.

    Raises what `adopt` raises.
    """
    if base.source == "file":
        return dict(_whole(base, store, "cpu").state_dict())
    if base.source == "hf":
        from netgraft.models.sources.huggingface import build as hf_build

        return hf_build.values(base, store)
    return tensors(user_file(base), store, adopt(base, store, "meta"))


# Whole modules: what they are for


def purpose(module: nn.Module) -> tuple[str, tuple[int, ...]]:
    """Task and input shape of a module on meta; ("", ()) when none that is tried fits."""
    state = module.state_dict()
    if fit := find({key: tuple(value.shape) for key, value in state.items()}):
        return resolve.task(fit.base), resolve.input_shape(fit.base)
    for shape in _likely(module):
        try:
            with torch.no_grad():
                out = module.eval()(torch.zeros(2, *shape, device="meta"))
        except (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError):
            continue
        flat = isinstance(out, Tensor) and out.ndim == 2
        return "classification" if flat else "unknown", shape
    return "", ()


def _likely(module: nn.Module) -> Iterator[tuple[int, ...]]:
    """Input shapes that the first layer with weights could take."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            yield from ((layer.in_channels, side, side) for side in SIDES)
            return
        if isinstance(layer, nn.Conv3d):
            yield from ((layer.in_channels, FRAMES, side, side) for side in SIDES)
            return
        if isinstance(layer, nn.Conv1d):
            yield from ((layer.in_channels, length) for length in (1024, 128, 16384))
            return
        if isinstance(layer, nn.Linear):
            yield (layer.in_features,)
            for count in (3, 1):
                side = int((layer.in_features / count) ** 0.5)
                if side * side * count == layer.in_features:
                    yield (count, side, side)
            return
