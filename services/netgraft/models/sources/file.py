"""Models that lie in a user's file and in no zoo, as a source.

What is asked of a library by name is answered from the recipe's own `UserFile`; the
module itself comes through `adoption`, which has the store.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from netgraft.errors import CannotExport, OnlyDrawn
from netgraft.language import Message
from netgraft.models.fetch.http import Progress
from netgraft.models.recipe import Base, UserFile
from netgraft.models.sources.source import Plain, Preprocessing
from netgraft.models.untrusted.formats import format_of
from netgraft.models.zoo.catalogue import Entry

if TYPE_CHECKING:
    from torch import Tensor, nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's: a file does not say what its model was trained with."""


class FileSource:
    """See `source.Source`. It has no names of its own."""

    def names(self) -> Iterable[str]:
        return ()

    def entry(self, name: str) -> Entry:
        raise KeyError(name)

    def construct(self, base: Base) -> "nn.Module":
        raise only_drawn(base)

    def weights(self, base: Base) -> "dict[str, Tensor]":
        raise only_drawn(base)

    def download(self, base: Base) -> Iterator[Progress]:
        """The store has what a recipe of a file names."""
        return iter(())

    def on_disk(self, base: Base) -> bool:
        return True

    def class_names(self, base: Base) -> tuple[str, ...]:
        return ()

    def preprocessing(self, base: Base) -> Preprocessing:
        side, file = self.input_shape(base)[-1], user_file(base)
        if file.kind != "keras":
            return Preprocessing(side, MEAN, STD)
        # Its own layers take pixels from 0 to 255; a model without such is given 0 to 1.
        rescales = json.loads(file.config)["rescales"]
        return Preprocessing(side, (0, 0, 0), (1 / 255,) * 3 if rescales else (1, 1, 1))

    def input_shape(self, base: Base) -> tuple[int, ...]:
        """Raises OnlyDrawn when it is not known."""
        file = user_file(base)
        if not file.input_shape:
            raise only_drawn(base)
        return file.input_shape

    def licence(self, base: Base) -> str:
        return ""

    def plain(self, base: Base) -> Plain:
        file = user_file(base)
        if file.kind == "keras" and file.input_shape:
            problem = Message(
                "it is made of Keras's layers. Export it as onnx, pt2 or torchscript, which need "
                "no Keras."
            )
            raise CannotExport(model=base.name, format="python", problem=problem)
        if file.kind != "module":
            raise only_drawn(base)
        # Torch's own loader runs what is in the file; netgraft has looked at this very one.
        return Plain(
            (),
            (
                f"# The SHA-256 of the file is {file.sha256}.",
                f"found = torch.load({base.name!r}, map_location='cpu', weights_only=False)",
                "inside = [found] if isinstance(found, nn.Module) else found.values()",
                "model = next(part for part in inside if isinstance(part, nn.Module))",
                "model = model.module if isinstance(model, nn.DataParallel) else model",
            ),
        )


def user_file(base: Base) -> UserFile:
    """The file of a base that has one."""
    assert base.file is not None
    return base.file


def only_drawn(base: Base) -> OnlyDrawn:
    """The error for what asks more of a file than its picture."""
    return OnlyDrawn(name=base.name, kind=format_of(user_file(base).kind).label)


def stem(base: Base) -> str:
    """Beginning of the name of a file made from a base."""
    return Path(base.name).stem if base.source == "file" else base.name
