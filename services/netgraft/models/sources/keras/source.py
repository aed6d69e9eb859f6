"""`.keras` files as a source: a kind of user's file, whose layers Keras makes."""

import json
from typing import TYPE_CHECKING

from netgraft.errors import CannotExport
from netgraft.language import Message
from netgraft.models.files.kept import KIND, file_of
from netgraft.models.files.whole import WholeFile, only_drawn
from netgraft.models.recipe import Base
from netgraft.models.source import Plain, Preprocessing

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netgraft.store.store import Store


class KerasSource(WholeFile):
    """`FileSource` opens the files, and leaves what is asked of their bases to this one."""

    name = "keras"

    def preprocessing(self, base: Base) -> Preprocessing:
        """Its own layers take pixels from 0 to 255; a model without such is given 0 to 1."""
        side = self.input_shape(base)[-1]
        rescales = json.loads(file_of(base).config)["rescales"]
        return Preprocessing(side, (0, 0, 0), (1 / 255,) * 3 if rescales else (1, 1, 1))

    def module(
        self,
        base: Base,
        store: "Store | None",
        device: "torch.device | str",
        *,
        load_weights: bool,
    ) -> "nn.Module":
        """The module with its weights, whether they are asked for or not."""
        from netgraft.models.sources.keras import module as keras_module

        file = file_of(base)
        if not file.input_shape:
            raise only_drawn(base)
        assert store is not None
        with store.open(KIND, file.sha256) as stream:
            return keras_module.load(stream, file.name).to(device)

    def plain(self, base: Base) -> Plain:
        if not file_of(base).input_shape:
            raise only_drawn(base)
        problem = Message(
            "it is made of Keras's layers. As onnx, pt2 or torchscript it needs Keras no more."
        )
        raise CannotExport(model=base.name, format="python", problem=problem)
