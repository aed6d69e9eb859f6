"""From what a user calls a model to its recipe, and from a base to its module."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from netgraft.errors import InvalidValue, UnknownModel, WeightsUnavailable
from netgraft.language import Message
from netgraft.models.fetch import cached
from netgraft.models.nearest import nearest
from netgraft.models.notices import stored
from netgraft.models.recipe import Base, Recipe
from netgraft.models.recipes import put_recipe, recipe_of
from netgraft.models.untrusted.formats import names_file
from netgraft.models.zoo.catalogue import Entry, by_name
from netgraft.store.store import Store, is_model_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import Tensor, nn

    from netgraft.models.fetch.http import Progress
    from netgraft.models.sources.source import Preprocessing

HUB_PREFIX = "hf/"
"""Before what the Hugging Face hub calls a model."""

Policy = Literal["pretrained", "none", "preferred"]


@dataclass(frozen=True)
class Resolved:
    """A recipe, and what a user must be told about it."""

    recipe: Recipe
    notices: tuple[str, ...] = ()
    """Each as `notices.stored` writes it."""


def resolve(reference: str, policy: Policy, store: Store) -> Resolved:
    """The model that a reference means: a zoo name, "NAME@WEIGHTS", a file or a model id.

    A name alone means the library's default weights; where those are not on this machine
    and others of the same name are, it means those, and a notice says so. "preferred"
    downloads what is missing and falls back to random weights. The recipe of a zoo name
    or of a file is stored. Raises UnknownModel, and for a file what `files.open_file` does.
    """
    text = reference.strip()
    if is_model_id(text) and text.lower() not in by_name():
        row = store.get_row(text)
        notices = tuple(row.notices.splitlines())
        return Resolved(recipe_of(store, row), notices)
    if text.lower().startswith(HUB_PREFIX):
        from netgraft.models.huggingface import open_reference

        resolved = Resolved(*open_reference(text, store))
    elif names_file(text):
        from netgraft.models.files.open import open_file

        resolved = Resolved(*open_file(text, store))
    else:
        name, _, weights = text.partition("@")
        resolved = _resolved(_entry(name), weights, policy)
    put_recipe(store, resolved.recipe, resolved.notices)
    return resolved


def _entry(name: str) -> Entry:
    key = name.lower().replace("-", "_").removeprefix("torchvision/")
    found = by_name().get(key)
    if found is None:
        near = nearest(key, by_name(), least=70)
        hint = Message("Did you mean {names}?", names=near) if near else ""
        raise UnknownModel(name=name, hint=hint)
    return found


def _weights(entry: Entry, asked: str) -> str | None:
    """The weights that "NAME@ASKED" means; None for random ones."""
    if asked.lower() == "none" or not entry.weights:
        return None
    if asked.upper() in ("", "DEFAULT"):
        return entry.weights[0]
    for name in entry.weights:
        if name.lower() == asked.lower():
            return name
    choices = Message("Its weights are {names} or none.", names=entry.weights)
    raise UnknownModel(name=f"{entry.name}@{asked}", hint=choices)


def _resolved(entry: Entry, asked: str, policy: Policy) -> Resolved:
    weights = _weights(entry, asked)
    random = Base(entry.source, entry.name.removeprefix("timm/"), None)
    if weights is None or policy == "none":
        notice = Message("{name} starts from random weights.", name=entry.name)
        return Resolved(Recipe(random), (stored(notice),))
    wanted = replace(random, weights=weights)
    if on_disk(wanted):
        return Resolved(Recipe(wanted))
    others = (replace(random, weights=name) for name in entry.weights if not asked)
    if present := next(filter(on_disk, others), None):
        notice = Message(
            "{name} uses {present}, which is on this machine; {name}@{weights} would be "
            "downloaded.",
            name=entry.name,
            present=present.weights,
            weights=weights,
        )
        return Resolved(Recipe(present), (stored(notice),))
    return _fetched(entry, wanted, random) if policy == "preferred" else Resolved(Recipe(wanted))


def _fetched(entry: Entry, wanted: Base, random: Base) -> Resolved:
    try:
        fetch(wanted)
    except WeightsUnavailable as error:
        notice = Message(
            "{name} starts from random weights: {weights} cannot be had ({problem}).",
            name=entry.name,
            weights=wanted.weights,
            problem=error.values["problem"],
        )
        return Resolved(Recipe(random), (stored(notice),))
    return Resolved(Recipe(wanted))


def on_disk(base: Base) -> bool:
    """Whether the weights of a base are on this machine; told without torch where they are known.

    False for random weights, which nobody keeps.
    """
    if base.weights is None and base.file is None:
        return False
    entry = by_name().get(_listed(base)) if base.file is None else None
    if entry and base.weights in entry.weights:
        return cached.holds(entry.files[entry.weights.index(base.weights)])
    from netgraft.models.sources.source import source

    return source(base.source).on_disk(base)


def learned(recipe: Recipe) -> bool:
    """Whether a model has weights that somebody trained, and they are on this machine."""
    return recipe.base.file is not None or recipe.training is not None or on_disk(recipe.base)


def fetch(base: Base) -> None:
    """Make sure that the weights of a base are on this machine. Raises WeightsUnavailable."""
    if base.weights is not None and base.file is None:
        for _ in download(base):
            pass


def download(base: Base) -> "Iterator[Progress]":
    """As `fetch` for pretrained weights, telling how it goes."""
    from netgraft.models.sources.source import source

    return source(base.source).download(base)


def prefetch(reference: str, store: Store) -> "tuple[str, Iterator[Progress]]":
    """What a reference's weights are called, and their download, which tells how it goes.

    Raises UnknownModel, and InvalidValue for a model without pretrained weights; the download
    raises WeightsUnavailable.
    """
    text = reference.strip()
    if text.lower().startswith(HUB_PREFIX):
        from netgraft.models import huggingface

        return huggingface.title(text), huggingface.download(text)
    base = _pretrained(text, store)
    return str(base), download(base)


def _pretrained(text: str, store: Store) -> Base:
    """The base whose weights a reference means, on this machine or not."""
    if names_file(text) or (is_model_id(text) and text.lower() not in by_name()):
        base = resolve(text, "pretrained", store).recipe.base
    else:
        name, _, asked = text.partition("@")
        entry = _entry(name)
        base = Base(entry.source, entry.short, _weights(entry, asked))
    if base.weights is None or base.file is not None:
        expected = Message("a name of the zoo that has pretrained weights, such as resnet50")
        raise InvalidValue(name="model", value=text, expected=expected)
    return base


def base_module(
    base: Base,
    *,
    device: "torch.device | str" = "cpu",
    load_weights: bool = True,
    store: Store | None = None,
) -> "nn.Module":
    """The base's module in training mode. On "meta" it costs no memory and needs no weights.

    With `load_weights=False` on a real device, parameters are random, from the base's seed.
    A base with a user's file needs the store that has it.
    Raises WeightsUnavailable, and OnlyDrawn for a file that holds no module.
    """
    import torch

    if base.file is not None:
        from netgraft.models.files.matching import adopt

        assert store is not None
        return adopt(base, store, device, load_weights=load_weights)
    from netgraft.models.sources.source import source
    from netgraft.models.sources.weightless import construct_weightless

    library = source(base.source)
    if torch.device(device).type == "meta":
        return construct_weightless(lambda: library.construct(base))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(base.seed)
        module = library.construct(base)
    if load_weights and base.weights is not None:
        module.load_state_dict(library.weights(base))
    return module.to(device)


def example_inputs(
    base: Base, batch: int = 2, device: "torch.device | str" = "meta"
) -> "tuple[Tensor | list[Tensor], ...]":
    """Arguments of one forward pass, zeros.

    x_NCHW for pictures, x_NCTHW for video, two x_NCHW for optical flow, and a list
    of x_CHW for detection.
    """
    import torch

    shape = input_shape(base)
    x_NCHW = torch.zeros(batch, *shape, device=device)
    kind = task(base)
    if kind == "detection":
        return (list(x_NCHW.unbind()),)
    return (x_NCHW, x_NCHW.clone()) if kind == "optical_flow" else (x_NCHW,)


def entry_of(base: Base) -> Entry:
    """The catalogue's entry of a base."""
    return by_name()[_listed(base)]


def _listed(base: Base) -> str:
    """The name under which the catalogue has a base of the zoo."""
    return base.name if base.source == "torchvision" else f"{base.source}/{base.name}"


def task(base: Base) -> str:
    """As the catalogue has it, such as "classification"; of a file "unknown" where it is so."""
    if not base.in_zoo:
        return (base.file and base.file.task) or "unknown"
    return entry_of(base).task


def input_shape(base: Base) -> tuple[int, ...]:
    """Shape of one example without the batch, such as (3, 224, 224)."""
    from netgraft.models.sources.source import source

    return source(base.source).input_shape(base)


def class_names(base: Base) -> tuple[str, ...]:
    """Names of the classes that the pretrained weights know; () when unknown."""
    if base.in_zoo and (base.file is not None or base.weights is None):
        return ()
    from netgraft.models.sources.source import source

    return source(base.source).class_names(base)


def preprocessing(base: Base) -> "Preprocessing":
    """How pictures become input for this base."""
    from netgraft.models.sources.source import source

    return source(base.source).preprocessing(base)
