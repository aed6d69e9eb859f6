"""Two models, module by module: what was added, removed, changed, frozen.

Modules are matched by their path. Only those that hold something of their own are
compared (no children, or parameters beside them), so a change is told once, where
it is, and not again for every module around it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from netgraft.models.recipe import Recipe
from netgraft.models.store import Store

if TYPE_CHECKING:
    from torch import nn


class Kind(Enum):
    ADDED = "added"
    """Only in b."""
    REMOVED = "removed"
    """Only in a."""
    CHANGED = "changed"
    """Of another type, shape or setting."""
    TRAINABLE = "trainable"
    """The same, but for what trains."""


@dataclass(frozen=True)
class ModuleDifference:
    path: str
    """ "" is the model as a whole (its loss)."""
    kind: Kind
    before: str
    after: str
    parameters_before: int = 0
    parameters_after: int = 0


@dataclass(frozen=True)
class Difference:
    modules: tuple[ModuleDifference, ...]
    """In the order of the model."""
    a_parameters: int
    b_parameters: int


@dataclass(frozen=True)
class _Leaf:
    """What is compared of a module."""

    text: str
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    trains: tuple[bool, ...]
    parameters: int

    @property
    def training(self) -> str:
        trained = sum(self.trains)
        if trained in (0, len(self.trains)):
            return "trainable" if trained else "frozen"
        return f"{trained} of {len(self.trains)} parameters trainable"


def compare(a: Recipe, b: Recipe, store: Store) -> Difference:
    """How recipe b differs from recipe a; on meta tensors, so no weights are read."""
    from netgraft.models.build import build

    modules = [build(recipe, store, device="meta") for recipe in (a, b)]
    found = compare_modules(*modules)
    if a.loss == b.loss:
        return found
    loss = ModuleDifference("", Kind.CHANGED, _loss(a), _loss(b))
    return Difference((loss, *found.modules), found.a_parameters, found.b_parameters)


def compare_modules(a: "nn.Module", b: "nn.Module") -> Difference:
    """As `compare`, for modules."""
    before, after = _leaves(a), _leaves(b)
    # a's order, and what only b has where b has it: after its neighbour.
    paths = list(before)
    for index, path in enumerate(after):
        if path not in before:
            previous = list(after)[index - 1] if index else None
            paths.insert(paths.index(previous) + 1 if previous else 0, path)
    found = (_difference(path, before.get(path), after.get(path)) for path in paths)
    totals = (sum(p.numel() for p in module.parameters()) for module in (a, b))
    return Difference(tuple(item for item in found if item), *totals)


def _difference(path: str, before: _Leaf | None, after: _Leaf | None) -> ModuleDifference | None:
    if before is None:
        assert after is not None
        return ModuleDifference(path, Kind.ADDED, "", after.text, 0, after.parameters)
    if after is None:
        return ModuleDifference(path, Kind.REMOVED, before.text, "", before.parameters, 0)
    counts = (before.parameters, after.parameters)
    if (before.text, before.shapes) != (after.text, after.shapes):
        return ModuleDifference(path, Kind.CHANGED, before.text, after.text, *counts)
    if before.trains != after.trains:
        return ModuleDifference(path, Kind.TRAINABLE, before.training, after.training, *counts)
    return None


def _leaves(model: "nn.Module") -> dict[str, _Leaf]:
    return {
        path: _leaf(module)
        for path, module in model.named_modules(remove_duplicate=False)
        if not any(module.children()) or any(True for _ in module.parameters(recurse=False))
    }


def _leaf(module: "nn.Module") -> _Leaf:
    own = list(module.named_parameters(recurse=False))
    return _Leaf(
        text=describe(module),
        shapes=tuple((name, tuple(parameter.shape)) for name, parameter in own),
        trains=tuple(parameter.requires_grad for _, parameter in own),
        parameters=sum(parameter.numel() for _, parameter in own),
    )


def describe(module: "nn.Module") -> str:
    """One line on a module without children: "Linear(2048 → 1000)", "Dropout(p=0.2)"."""
    from torch import nn

    name = type(module).__name__
    settings = module.extra_repr().replace("\n", " ")
    if isinstance(module, nn.Linear):
        bias = "" if module.bias is not None else ", bias=False"
        return f"{name}({module.in_features} → {module.out_features}{bias})"
    if isinstance(module, nn.modules.conv._ConvNd):
        _, _, rest = settings.partition(", ")[2].partition(", ")
        return f"{name}({module.in_channels} → {module.out_channels}, {rest})"
    shapes = {key: "×".join(map(str, p.shape)) for key, p in module.named_parameters(recurse=False)}
    written = settings or ", ".join(f"{key} {shape}" for key, shape in shapes.items())
    return f"{name}({written})"


def _loss(recipe: Recipe) -> str:
    return f"loss {recipe.loss or 'of the task'}"
