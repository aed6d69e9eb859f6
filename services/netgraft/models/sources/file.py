"""A user's file that no zoo has the structure of: a whole module, or a picture for Netron alone."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netgraft.models import bases
from netgraft.models.fetch.http import Progress
from netgraft.models.files.kept import KIND, file_of
from netgraft.models.files.whole import WholeFile, only_drawn
from netgraft.models.recipe import Base
from netgraft.models.source import Plain, Policy, Preprocessing, Resolved, Source, sources
from netgraft.models.untrusted.formats import looks_like_path
from netgraft.models.zoo.catalogue import find

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netgraft.store.store import Store

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's: a file does not say what its model was trained with."""

MODULE = "module"
"""The kind of file that holds a whole module of torch."""


def names_file(reference: str) -> bool:
    """True if a reference is a path: it looks like one, and no name of the zoo is so called."""
    return looks_like_path(reference) and find(reference.partition("@")[0]) is None


class FileSource(WholeFile):
    """Paths of files and folders. What a file holds may belong to another source."""

    name = "file"
    last = True

    def reads(self, reference: str) -> bool:
        return names_file(reference)

    def open(self, reference: str, policy: Policy, store: "Store") -> Resolved:
        """Raises NoSuchFile, OutsideDataRoots, UnsupportedFile, UnsafeFile and TooLarge."""
        from netgraft.models.files.open import located, open_file

        path, name = located(reference)
        if path.is_dir():
            for source in sources():
                if source.reads_folder(path):
                    return source.open_folder(path, name, store)
        return open_file(path, name, store)

    def prefetch(self, reference: str, store: "Store") -> tuple[str, Iterator[Progress]]:
        """Raises InvalidValue, since a file has nothing to download, and as `open`."""
        found = self.open(reference, "pretrained", store)
        return bases.prefetch(found.recipe.base, reference)

    def of(self, base: Base) -> Source:
        """A kind of file may have a source of its own, which is called like it."""
        kind = file_of(base).kind
        return next((source for source in sources() if source.name == kind), self)

    def preprocessing(self, base: Base) -> Preprocessing:
        return Preprocessing(self.input_shape(base)[-1], MEAN, STD)

    def module(
        self,
        base: Base,
        store: "Store | None",
        device: "torch.device | str",
        *,
        load_weights: bool,
    ) -> "nn.Module":
        """The module as it was saved, with its weights whether they are asked for or not."""
        import torch
        from torch import nn

        from netgraft.models.untrusted.unpickle import load, model_in

        file = file_of(base)
        if file.kind != MODULE:
            raise only_drawn(base)
        assert store is not None
        with store.open(KIND, file.sha256) as stream:
            meta = torch.device(device).type == "meta"
            module = model_in(load(stream, file.name, "meta" if meta else "cpu"))
        assert isinstance(module, nn.Module)
        return module.train().to(device)

    def plain(self, base: Base) -> Plain:
        file = file_of(base)
        if file.kind != MODULE:
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
