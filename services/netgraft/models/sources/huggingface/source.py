"""Hugging Face's vision models as a source: what a name is asked, the recipe itself answers."""

from collections.abc import Iterable, Iterator

from torch import Tensor, nn

from netgraft.models.fetch.http import Progress
from netgraft.models.recipe import Base
from netgraft.models.sources.huggingface import build as hf_build
from netgraft.models.sources.source import Plain, Preprocessing
from netgraft.models.zoo.catalogue import Entry

CODE = (
    "class Logits({kind}):",
    "    def forward(self, x):",
    "        result = super().forward({argument}={value})",
    "        logits = result.logits if 'logits' in result else result[0]",
    "        logits = logits.squeeze(1) if logits.ndim == 3 else logits",
)
UPSAMPLED = "F.interpolate(logits, size=x.shape[-2:], mode='bilinear', align_corners=False)"


class HFSource:
    """See `source.Source`. It has no names of its own."""

    def names(self) -> Iterable[str]:
        return ()

    def entry(self, name: str) -> Entry:
        raise KeyError(name)

    def construct(self, base: Base) -> nn.Module:
        return hf_build.construct(base)

    def weights(self, base: Base) -> dict[str, Tensor]:
        raise KeyError(base.name)

    def download(self, base: Base) -> Iterator[Progress]:
        """The store has what a recipe names."""
        return iter(())

    def on_disk(self, base: Base) -> bool:
        return True

    def class_names(self, base: Base) -> tuple[str, ...]:
        labels = hf_build.document(base)["config"].get("id2label") or {}
        names = [str(labels.get(str(index), "")) for index in range(len(labels))]
        unnamed = all(name == f"LABEL_{index}" for index, name in enumerate(names))
        return () if unnamed else tuple(names)

    def preprocessing(self, base: Base) -> Preprocessing:
        picture = hf_build.document(base)["picture"]
        return Preprocessing(picture["side"], tuple(picture["mean"]), tuple(picture["std"]))

    def input_shape(self, base: Base) -> tuple[int, ...]:
        return hf_build.file_of(base).input_shape

    def licence(self, base: Base) -> str:
        return ""

    def plain(self, base: Base) -> Plain:
        config = hf_build.document(base)["config"]
        kind = hf_build.kind_of(base)
        task = hf_build.file_of(base).task
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
