"""Hugging Face's vision models as a source: the recipe itself answers, from its configuration."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from netgraft.models.fetch.http import Progress
from netgraft.models.files.kept import file_of
from netgraft.models.recipe import Base
from netgraft.models.source import Plain, Policy, Preprocessing, Resolved, Source
from netgraft.models.sources.huggingface import config as hf_config
from netgraft.models.sources.huggingface.names import NAME, PREFIX, title
from netgraft.models.zoo.entry import Entry

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from netgraft.store.store import Store

CODE = (
    "class Logits({kind}):",
    "    def forward(self, x):",
    "        result = super().forward({argument}={value})",
    "        logits = result.logits if 'logits' in result else result[0]",
    "        logits = logits.squeeze(1) if logits.ndim == 3 else logits",
)
UPSAMPLED = "F.interpolate(logits, size=x.shape[-2:], mode='bilinear', align_corners=False)"


class HFSource(Source):
    """hf/ORG/NAME, and folders that `save_pretrained` wrote."""

    name = NAME

    def reads(self, reference: str) -> bool:
        return reference.lower().startswith(PREFIX)

    def open(self, reference: str, policy: Policy, store: "Store") -> Resolved:
        """Download what is missing, under every policy: the weights say what model it is."""
        from netgraft.models.sources.huggingface.reference import open_reference

        return open_reference(reference, store)

    def prefetch(self, reference: str, store: "Store") -> tuple[str, Iterator[Progress]]:
        from netgraft.models.sources.huggingface.download import download

        return title(reference), download(reference)

    def reads_folder(self, folder: Path) -> bool:
        return (folder / hf_config.CONFIG).is_file()

    def open_folder(self, folder: Path, name: str, store: "Store") -> Resolved:
        from netgraft.models.sources.huggingface.reference import open_folder

        return open_folder(folder, name, store)

    def beside(self) -> Iterable[Entry]:
        """Models of the hub that are on this machine."""
        from netgraft.models.sources.huggingface import listing

        return listing.entries()

    def is_own(self, base: Base) -> bool:
        """A name of the hub has its organisation before it, and is listed with the hub's."""
        return "/" not in base.name

    def task(self, base: Base) -> str:
        return file_of(base).task or "unknown"

    def class_names(self, base: Base) -> tuple[str, ...]:
        labels = hf_config.document(base)["config"].get("id2label") or {}
        names = [str(labels.get(str(index), "")) for index in range(len(labels))]
        unnamed = all(name == f"LABEL_{index}" for index, name in enumerate(names))
        return () if unnamed else tuple(names)

    def preprocessing(self, base: Base) -> Preprocessing:
        picture = hf_config.document(base)["picture"]
        return Preprocessing(picture["side"], tuple(picture["mean"]), tuple(picture["std"]))

    def input_shape(self, base: Base) -> tuple[int, ...]:
        return file_of(base).input_shape

    def plain(self, base: Base) -> Plain:
        from netgraft.models.sources.huggingface import build as hf_build

        config = hf_config.document(base)["config"]
        kind = hf_build.kind_of(base)
        task = file_of(base).task
        argument = hf_build.argument_of(base)
        value, segments = ("x.transpose(1, 2)" if task == "video" else "x"), task == "segmentation"
        lines = (
            *(line.format(kind=kind, argument=argument, value=value) for line in CODE),
            f"        return {UPSAMPLED if segments else 'logits'}",
            "",
            "",
            f"config = CONFIG_MAPPING[{config['model_type']!r}].from_dict({config!r})",
            "config._attn_implementation = 'eager'",
            "model = Logits(config)",
        )
        imports = f"from transformers import CONFIG_MAPPING, {kind}"
        functional = ("import torch.nn.functional as F",) if segments else ()
        return Plain((*functional, imports), lines)

    def module(
        self,
        base: Base,
        store: "Store | None",
        device: "torch.device | str",
        *,
        load_weights: bool,
    ) -> "nn.Module":
        from netgraft.models.sources.huggingface import build as hf_build

        return hf_build.build(base, store, device, load_weights=load_weights)

    def values(self, base: Base, store: "Store") -> "Mapping[str, Tensor]":
        from netgraft.models.sources.huggingface import build as hf_build

        return hf_build.values(base, store)
