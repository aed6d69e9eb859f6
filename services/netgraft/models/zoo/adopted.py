"""A user's tensors in a structure of a library, as a source.

A state dict names tensors and not operators; `files.matching` found whose they are.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from netgraft.errors import UnsupportedFile
from netgraft.language import Message
from netgraft.models.files.kept import KIND, file_of
from netgraft.models.files.shapes import counted, spellings
from netgraft.models.recipe import Base, HeadEdit, UserFile
from netgraft.models.source import Plain, Preprocessing, Source

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from netgraft.store.store import Store


class Adopted(Source):
    """The structure and its task are the library's; weights and class count are the file's."""

    def __init__(self, library: Source) -> None:
        self.name = library.name
        self.structures = library

    def is_own(self, base: Base) -> bool:
        return self.is_known(base)

    def is_known(self, base: Base) -> bool:
        return self.structures.is_known(base)

    def task(self, base: Base) -> str:
        return self.structures.task(base)

    def input_shape(self, base: Base) -> tuple[int, ...]:
        return self.structures.input_shape(base)

    def image_size(self, base: Base) -> int:
        return self.structures.image_size(base)

    def preprocessing(self, base: Base) -> Preprocessing:
        return self.structures.preprocessing(base)

    def plain(self, base: Base) -> Plain:
        """The structure alone, with the heads of the library."""
        return self.structures.plain(structure(base))

    def module(
        self,
        base: Base,
        store: "Store | None",
        device: "torch.device | str",
        *,
        load_weights: bool,
    ) -> "nn.Module":
        import torch

        from netgraft.models.layers.heads import resize_head

        file = file_of(base)
        module = self.structures.module(structure(base), store, device, load_weights=False)
        for head in file.heads:
            resize_head(module, head.path, head.after)
            _recount(module, head)
        if load_weights and torch.device(device).type != "meta":
            assert store is not None
            try:
                module.load_state_dict(_tensors(file, store, module))
            except RuntimeError as error:
                raise _misfit(file) from error
        return module

    def values(self, base: Base, store: "Store") -> "Mapping[str, Tensor]":
        module = self.module(base, store, "meta", load_weights=False)
        return _tensors(file_of(base), store, module)


def structure(base: Base) -> Base:
    """The library's own base, whose structure a user's tensors have."""
    return replace(base, file=None)


def _recount(module: "nn.Module", head: HeadEdit) -> None:
    """Set the class count that the modules around a head remember."""
    path = head.path
    while path:
        path = path.rpartition(".")[0]
        owner = module.get_submodule(path)
        if vars(owner).get("num_classes") == head.before:
            owner.num_classes = head.after  # type: ignore[assignment]


def _tensors(file: UserFile, store: "Store", module: "nn.Module") -> "dict[str, Tensor]":
    """A file's tensors under the names that a module gives them."""
    from netgraft.models.untrusted.unpickle import load, model_in

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
    raise _misfit(file)


def _misfit(file: UserFile) -> UnsupportedFile:
    problem = Message("its tensors do not fit any more; open the file again.")
    return UnsupportedFile(path=file.name, problem=problem)
