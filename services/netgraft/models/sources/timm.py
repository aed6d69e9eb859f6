"""timm's names as a source of models."""

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from netgraft.errors import WeightsUnavailable
from netgraft.language import Message
from netgraft.models.fetch.cached import HUB, HUB_FILES
from netgraft.models.fetch.http import Progress, WrongContent
from netgraft.models.recipe import Base
from netgraft.models.source import Plain, Preprocessing
from netgraft.models.zoo import imagenet
from netgraft.models.zoo.entry import Entry
from netgraft.models.zoo.library import Library

if TYPE_CHECKING:
    from torch import Tensor, nn

logging.getLogger("timm").setLevel(logging.ERROR)

NAME = "timm"

IMAGENET_CLASSES = 1000

UNKNOWN_LICENCE = "unknown"
"""Written by timm where it does not know."""


class TimmSource(Library):
    """Names here are without the "timm/" that users type."""

    name = NAME

    def names(self) -> Iterable[str]:
        import timm

        names: list[str] = timm.list_models()
        return names

    def entry(self, name: str) -> Entry:
        from netgraft.models.weightless import construct_weightless

        tags = _tags(name)
        base = Base(NAME, name, tags[0] if tags else None)
        model = construct_weightless(lambda: self.construct(base))
        return Entry(
            name=base.shown,
            source=NAME,
            task="classification",
            params=sum(p.numel() for p in model.parameters()),
            accuracy=0.0,
            image_size=self.input_shape(base)[-1],
            weights=tags,
            files=tuple(_file(Base(NAME, name, tag)) for tag in tags),
            licence=self.licence(base),
        )

    def construct(self, base: Base) -> "nn.Module":
        return _create(_full_name(base))

    def construct_for(self, name: str, classes: int) -> "nn.Module":
        return _create(name, num_classes=classes)

    def variants(self, entry: Entry) -> tuple[str, ...]:
        """Those that are for pictures of another size than the name's own."""
        usual = _pretrained(entry.short)
        every = {tag: _pretrained(f"{entry.short}.{tag}") for tag in entry.weights}
        return tuple(
            tag
            for tag, found in every.items()
            if found and usual and found.fixed_input_size and found.input_size != usual.input_size
        )

    def weights(self, base: Base) -> "dict[str, Tensor]":
        from timm.models import load_state_dict_from_hf

        from netgraft.models.fetch import torch_hub

        config = _config(base)
        try:
            if config.hf_hub_id:
                state = load_state_dict_from_hf(config.hf_hub_id, weights_only=True)
            else:
                state = torch_hub.read(torch_hub.fetch(config.url, str(base)), str(base))
        except OSError as error:  # huggingface_hub's errors are kinds of it
            raise _unavailable(base, error) from error
        return _filtered(base, dict(state))

    def download(self, base: Base) -> Iterator[Progress]:
        from netgraft.models.fetch import hub, torch_hub

        config = _config(base)
        if not config.hf_hub_id:
            yield from torch_hub.download(config.url, str(base))
            return
        try:
            yield from hub.download(config.hf_hub_id)
        except OSError as error:  # huggingface_hub's errors are kinds of it
            raise _unavailable(base, error) from error

    def has_file(self, base: Base) -> bool:
        from huggingface_hub import try_to_load_from_cache

        from netgraft.models.fetch import torch_hub

        config = _config(base)
        if not config.hf_hub_id:
            return bool(config.url) and torch_hub.local_file(config.url).is_file()
        found = (try_to_load_from_cache(config.hf_hub_id, name) for name in HUB_FILES)
        return any(isinstance(path, str) for path in found)

    def class_names(self, base: Base) -> tuple[str, ...]:
        count = _config(base).num_classes if base.weights is not None else 0
        if count == IMAGENET_CLASSES:
            from torchvision.models._meta import _IMAGENET_CATEGORIES

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


def _create(name: str, **options: Any) -> "nn.Module":
    import timm

    made: nn.Module = timm.create_model(name, pretrained=False, **options)
    return made


def _pretrained(name: str) -> Any:
    """timm's configuration of pretrained weights; None where it has none."""
    import timm

    return timm.get_pretrained_cfg(name)


def _tags(name: str) -> tuple[str, ...]:
    """Tags of the pretrained weights of a name, the default first."""
    import timm

    found = [full.partition(".")[2] for full in timm.list_pretrained(f"{name}.*")]
    default = _pretrained(name)
    first = [default.tag] if default is not None and default.tag in found else []
    return tuple(first + [tag for tag in found if tag not in first])


def _full_name(base: Base) -> str:
    return f"{base.name}.{base.weights}" if base.weights else base.name


def _config(base: Base) -> Any:
    return _pretrained(_full_name(base))


def _file(base: Base) -> str:
    """The place of the weights, as `cached` reads it; "" when the library names none."""
    from netgraft.models.fetch import torch_hub

    config = _config(base)
    if config.hf_hub_id:
        return f"{HUB}{config.hf_hub_id}"
    return torch_hub.local_file(config.url).name if config.url else ""


def _filtered(base: Base, state: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """The tensors under the names that the library's own loading would give them."""
    model = TimmSource().construct(base)
    module = __import__(type(model).__module__, fromlist=["checkpoint_filter_fn"])
    adapt = getattr(module, "checkpoint_filter_fn", None)
    return dict(adapt(state, model)) if adapt else state


def _unavailable(base: Base, error: Exception) -> WeightsUnavailable:
    from huggingface_hub.errors import LocalEntryNotFoundError

    problem = str(error) if isinstance(error, WrongContent) else type(error).__name__
    if isinstance(error, LocalEntryNotFoundError):
        problem = Message("no network")
    return WeightsUnavailable(
        model=base.shown,
        problem=problem,
        file=f"{base.shown}.{base.weights}",
        folder=Message("the Hugging Face cache"),
    )
