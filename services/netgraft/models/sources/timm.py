"""timm's names as a source of models."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import timm
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from timm.models import load_state_dict_from_hf
from torch import Tensor, nn
from torchvision.models._meta import _IMAGENET_CATEGORIES

from netgraft.errors import WeightsUnavailable
from netgraft.language import Message, quoted
from netgraft.models.fetch import hub, torch_hub
from netgraft.models.fetch.cached import HUB, HUB_FILES
from netgraft.models.fetch.http import Progress, WrongContent
from netgraft.models.recipe import Base
from netgraft.models.sources import imagenet
from netgraft.models.sources.source import Plain, Preprocessing
from netgraft.models.sources.weightless import construct_weightless
from netgraft.models.zoo.catalogue import Entry

logging.getLogger("timm").setLevel(logging.ERROR)

IMAGENET_CLASSES = 1000

UNKNOWN_LICENCE = "unknown"
"""What timm writes where it does not know."""


class TimmSource:
    """See `source.Source`. Names are without the "timm/" that users type."""

    def names(self) -> Iterable[str]:
        return timm.list_models()

    def entry(self, name: str) -> Entry:
        tags = _tags(name)
        base = Base("timm", name, tags[0] if tags else None)
        model = construct_weightless(lambda: self.construct(base))
        return Entry(
            name=f"timm/{name}",
            source="timm",
            task="classification",
            params=sum(p.numel() for p in model.parameters()),
            accuracy=0.0,
            image_size=self.input_shape(base)[-1],
            weights=tags,
            files=tuple(_file(Base("timm", name, tag)) for tag in tags),
            licence=self.licence(base),
        )

    def construct(self, base: Base) -> nn.Module:
        return timm.create_model(_full_name(base), pretrained=False)

    def weights(self, base: Base) -> dict[str, Tensor]:
        config = _config(base)
        try:
            if config.hf_hub_id:
                state = load_state_dict_from_hf(config.hf_hub_id, weights_only=True)
            else:
                state = torch_hub.read(torch_hub.fetch(config.url, str(base)), str(base))
        except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
            raise _unavailable(base, error) from error
        return _filtered(base, dict(state))

    def download(self, base: Base) -> Iterator[Progress]:
        config = _config(base)
        if not config.hf_hub_id:
            yield from torch_hub.download(config.url, str(base))
            return
        try:
            yield from hub.download(config.hf_hub_id)
        except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
            raise _unavailable(base, error) from error

    def on_disk(self, base: Base) -> bool:
        config = _config(base)
        if not config.hf_hub_id:
            return bool(config.url) and torch_hub.local_file(config.url).is_file()
        found = (try_to_load_from_cache(config.hf_hub_id, name) for name in HUB_FILES)
        return any(isinstance(path, str) for path in found)

    def class_names(self, base: Base) -> tuple[str, ...]:
        count = _config(base).num_classes if base.weights is not None else 0
        if count == IMAGENET_CLASSES:
            return tuple(_IMAGENET_CATEGORIES)
        return tuple(first for first, *_ in imagenet.words(count))

    def preprocessing(self, base: Base) -> Preprocessing:
        config = _config(base)
        return Preprocessing(self.input_shape(base)[-1], tuple(config.mean), tuple(config.std))

    def input_shape(self, base: Base) -> tuple[int, ...]:
        return tuple(_config(base).input_size)

    def licence(self, base: Base) -> str:
        known = (base.weights and _config(base).license) or ""
        return "" if known == UNKNOWN_LICENCE else str(known)

    def plain(self, base: Base) -> Plain:
        call = f'model = timm.create_model("{_full_name(base)}", pretrained=False)'
        return Plain(("import timm",), (call,))


def _tags(name: str) -> tuple[str, ...]:
    """Tags of the pretrained weights of a name, the default first."""
    found = [full.partition(".")[2] for full in timm.list_pretrained(f"{name}.*")]
    default = timm.get_pretrained_cfg(name)
    first = [default.tag] if default is not None and default.tag in found else []
    return tuple(first + [tag for tag in found if tag not in first])


def _full_name(base: Base) -> str:
    return f"{base.name}.{base.weights}" if base.weights else base.name


def _config(base: Base) -> Any:
    return timm.get_pretrained_cfg(_full_name(base))


def _file(base: Base) -> str:
    """Where the weights lie, as `disk` reads it; "" when the library names no place."""
    config = _config(base)
    if config.hf_hub_id:
        return f"{HUB}{config.hf_hub_id}"
    return torch_hub.local_file(config.url).name if config.url else ""


def _filtered(base: Base, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the library's own loading would make of a file's keys."""
    model = TimmSource().construct(base)
    module = __import__(type(model).__module__, fromlist=["checkpoint_filter_fn"])
    adapt = getattr(module, "checkpoint_filter_fn", None)
    return dict(adapt(state, model)) if adapt else state


def _unavailable(base: Base, error: Exception) -> WeightsUnavailable:
    problem = error.problem if isinstance(error, WrongContent) else quoted(type(error).__name__)
    if isinstance(error, LocalEntryNotFoundError):
        problem = Message("no network")
    return WeightsUnavailable(
        model=f"timm/{base.name}",
        problem=problem,
        file=f"timm/{base.name}.{base.weights}",
        folder=Message("the Hugging Face cache"),
    )
