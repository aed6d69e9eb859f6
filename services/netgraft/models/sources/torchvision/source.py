"""torchvision's 121 names as a source of models."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from netgraft.models.fetch.http import Progress
from netgraft.models.recipe import Base
from netgraft.models.source import Plain, Preprocessing
from netgraft.models.untrusted.patching import nothing, override
from netgraft.models.zoo.entry import Entry
from netgraft.models.zoo.library import Library

if TYPE_CHECKING:
    from torch import Tensor, nn

NAME = "torchvision"
IMAGENET = Preprocessing(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

TASKS = {
    "detection": "detection",
    "segmentation": "segmentation",
    "video": "video",
    "optical_flow": "optical_flow",
}
"""Sub-package of torchvision.models → task; all others classify."""

FLOW_SIDE = 128
"""RAFT's smallest input: its correlation pyramid halves it seven times."""


class TorchvisionSource(Library):
    """torchvision.models. The name of the weights decides parts of the structure."""

    name = NAME

    def names(self) -> Iterable[str]:
        import torchvision

        return cast("list[str]", sorted(torchvision.models.list_models()))

    def entry(self, name: str) -> Entry:
        from netgraft.models.fetch import torch_hub

        choices = _choices(name)
        default = choices[0] if choices else None
        metrics = default.meta["_metrics"].get("ImageNet-1K", {}) if default else {}
        shape = self.input_shape(Base(NAME, name, default.name if default else None))
        return Entry(
            name=name,
            source=NAME,
            task=_task(name),
            params=int(default.meta["num_params"]) if default else 0,
            accuracy=float(metrics.get("acc@1", 0.0)),
            image_size=shape[-1],
            weights=tuple(choice.name for choice in choices),
            files=tuple(torch_hub.local_file(choice.url).name for choice in choices),
            flops=_flops(default) if default and _task(name) != "optical_flow" else 0,
            licence=str(default.meta.get("license", "")) if default else "",
        )

    def construct(self, base: Base) -> "nn.Module":
        from torch import nn
        from torchvision.models import WeightsEnum

        builder = _builder(base.name)
        accepted = inspect.signature(builder).parameters
        options: dict[str, Any] = {"weights": _chosen(base)}
        if "weights_backbone" in accepted:
            options["weights_backbone"] = None
        if "init_weights" in accepted and base.weights is None:
            options["init_weights"] = True
        if base.weights is None:
            return builder(**options)
        # The builder changes the structure by the weights (auxiliary heads, input
        # transform, epsilons) and then loads them: the structure is wanted here, the
        # tensors come later, through our safe loader.
        with (
            override(WeightsEnum, "get_state_dict", _no_tensors),
            override(nn.Module, "load_state_dict", nothing),
        ):
            return builder(**options)

    def construct_for(self, name: str, classes: int) -> "nn.Module":
        builder = _builder(name)
        options: dict[str, Any] = {"weights": None, "num_classes": classes}
        if _task(name) == "segmentation" and not name.startswith("lraspp"):
            options["aux_loss"] = True
        if _task(name) in ("segmentation", "detection"):
            options["weights_backbone"] = None
        if name in ("inception_v3", "googlenet"):
            options["init_weights"] = False
        return builder(**options)

    def weights(self, base: Base) -> "dict[str, Tensor]":
        from netgraft.models.fetch import torch_hub

        return torch_hub.read(torch_hub.fetch(self._chosen(base).url, str(base)), str(base))

    def download(self, base: Base) -> Iterator[Progress]:
        from netgraft.models.fetch import torch_hub

        return torch_hub.download(self._chosen(base).url, str(base))

    def has_file(self, base: Base) -> bool:
        from netgraft.models.fetch import torch_hub

        return torch_hub.local_file(self._chosen(base).url).is_file()

    def class_names(self, base: Base) -> tuple[str, ...]:
        chosen = _chosen(base)
        return tuple(chosen.meta.get("categories", ())) if chosen else ()

    def preprocessing(self, base: Base) -> Preprocessing:
        side = self.input_shape(base)[-1]
        chosen = _chosen(base)
        transform = chosen.transforms() if chosen else None
        mean = tuple(getattr(transform, "mean", IMAGENET.mean))
        std = tuple(getattr(transform, "std", IMAGENET.std))
        return Preprocessing(side, mean, std)

    def input_shape(self, base: Base) -> tuple[int, ...]:
        # A name without its weights is built for the size that its first weights were
        # made for: later weights of one name (SWAG) may enlarge the model.
        choices = _choices(base.name)
        chosen = _chosen(base) or (choices[-1] if choices else None)
        side = _side(chosen, _task(base.name))
        if _task(base.name) == "video":
            frames = max(16, chosen.meta.get("min_temporal_size", 1) if chosen else 1)
            return (3, frames, side, side)
        return (3, side, side)

    def licence(self, base: Base) -> str:
        chosen = _chosen(base)
        return str(chosen.meta.get("license", "")) if chosen else ""

    def plain(self, base: Base) -> Plain:
        from netgraft.models.sources.torchvision.code import plain

        return plain(base, self.construct, self.input_shape(base)[-1])

    @staticmethod
    def _chosen(base: Base) -> Any:
        chosen = _chosen(base)
        if chosen is None:
            raise ValueError(f"{base} has no pretrained weights")
        return chosen


def _no_tensors(*_: Any, **__: Any) -> "dict[str, Tensor]":
    """Instead of a download. A dictionary: densenet's builder renames its keys."""
    return {}


def _builder(name: str) -> "Callable[..., nn.Module]":
    import torchvision

    return cast("Callable[..., nn.Module]", torchvision.models.get_model_builder(name))


def _task(name: str) -> str:
    return TASKS.get(_builder(name).__module__.split(".")[2], "classification")


def _choices(name: str) -> list[Any]:
    """The weights of a name, the default first. Quantized names give their float weights."""
    import torchvision

    kinds = torchvision.models.get_model_weights(name)
    default = [kinds.DEFAULT] if hasattr(kinds, "DEFAULT") else []
    every = default + [choice for choice in kinds if choice not in default]
    plain = [choice.meta.get("unquantized", choice) for choice in every]
    return list(dict.fromkeys(plain))


def _chosen(base: Base) -> Any:
    if base.weights is None:
        return None
    return next(choice for choice in _choices(base.name) if choice.name == base.weights)


def _flops(chosen: Any) -> int:
    """Torchvision counts multiply-adds, in thousands of millions, and calls them GFLOPS.

    Of optical flow it counts another size of picture than `input_shape`.
    """
    return round(float(chosen.meta.get("_ops", 0)) * 2e9)


def _side(chosen: Any, task: str) -> int:
    if task == "optical_flow" or chosen is None:
        return FLOW_SIDE if task == "optical_flow" else IMAGENET.size
    transform = chosen.transforms()
    for attribute in ("crop_size", "resize_size"):
        if size := getattr(transform, attribute, None):
            return int(size[-1])
    return 320 if task == "detection" else IMAGENET.size
