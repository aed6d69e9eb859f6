"""Two models, module by module: what was added, removed, changed, frozen.

Modules are matched by their path. Only those that hold something of their own are
compared (no children, or parameters beside them), so a change is reported once, where it is,
and not again for every module around it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from netgraft.language import Message
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store

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
    """The same except for which parameters train."""


@dataclass(frozen=True)
class WeightDifference:
    """One parameter of a module whose shape differs between the models."""

    name: str
    before: str
    """Its shape, such as "1000×2048"; "()" for a scalar; "" if it does not exist."""
    after: str


@dataclass(frozen=True)
class ModuleDifference:
    path: str
    """In b, or in a where b has no such module; "" is the model as a whole: its loss, or
    parameters that lie in no module of it."""
    kind: Kind
    before: str
    """A description of the module in a; a `Message` if it must be translated."""
    after: str
    parameters_before: int = 0
    parameters_after: int = 0
    weights: tuple[WeightDifference, ...] = ()
    """Only those that differ."""
    path_before: str | None = None
    """In a, where it is another than in b; see `Difference.a_root`."""


@dataclass(frozen=True)
class Difference:
    modules: tuple[ModuleDifference, ...]
    """In the order of the model."""
    a_parameters: int
    b_parameters: int
    a_root: str = ""
    """Path in a of what is compared with b: a head that was appended to a model puts
    the model itself into a module of its own."""
    b_root: str = ""


@dataclass(frozen=True)
class _Leaf:
    """The properties of a module that are compared."""

    path: str
    text: str
    shapes: dict[str, tuple[int, ...]]
    trains: tuple[bool, ...]
    parameters: int

    @property
    def training(self) -> Message:
        trained = sum(self.trains)
        if trained in (0, len(self.trains)):
            return Message("trainable") if trained else Message("frozen")
        return Message("{some} of {all} parameters trainable", some=trained, all=len(self.trains))

    def beside(self, other: "_Leaf | None") -> str:
        """The text; says what trains if the other module differs in that."""
        usual = other.training if other and other.trains else "trainable"
        if not self.trains or self.training == usual:
            return self.text
        return Message("{module}, {training}", module=self.text, training=self.training)


_Key = tuple[bool, str]
"""Whether a module lies under its model's root, and its path from there."""


def compare(a: Recipe, b: Recipe, store: Store) -> Difference:
    """Return how recipe b differs from recipe a; on meta tensors, so no weights are read."""
    from netgraft.graph.capture import capture  # noqa: F401  # first, as the service may be warming up
    from netgraft.models.build import build

    modules = [build(recipe, store, device="meta") for recipe in (a, b)]
    found = compare_modules(*modules)
    if a.loss == b.loss:
        return found
    loss = ModuleDifference("", Kind.CHANGED, _loss(a), _loss(b))
    totals = (found.a_parameters, found.b_parameters)
    return Difference((loss, *found.modules), *totals, found.a_root, found.b_root)


def compare_modules(a: "nn.Module", b: "nn.Module") -> Difference:
    """As `compare`, for modules."""
    roots = _roots(a, b)
    before, after = _leaves(a, roots[0]), _leaves(b, roots[1])
    found = (_difference(before.get(key), after.get(key)) for key in _order(before, after))
    a_parameters, b_parameters = (sum(p.numel() for p in m.parameters()) for m in (a, b))
    return Difference(tuple(item for item in found if item), a_parameters, b_parameters, *roots)


def _roots(a: "nn.Module", b: "nn.Module") -> tuple[str, str]:
    from netgraft.models.layers.heads import Appended

    appended = isinstance(a, Appended), isinstance(b, Appended)
    if appended[0] == appended[1]:
        return "", ""
    return ("body", "") if appended[0] else ("", "body")


def _order(before: dict[_Key, _Leaf], after: dict[_Key, _Leaf]) -> list[_Key]:
    """Modules in a's order; those that only b has follow their neighbour in b."""
    behind: dict[_Key | None, list[_Key]] = {None: []}
    neighbour: _Key | None = None
    for key in after:
        if key in before:
            neighbour = key
        else:
            behind.setdefault(neighbour, []).append(key)
    return behind[None] + [late for key in before for late in (key, *behind.get(key, ()))]


def _difference(before: _Leaf | None, after: _Leaf | None) -> ModuleDifference | None:
    weights = _weights(before, after)
    if before is None:
        assert after is not None
        text = after.beside(None)
        return ModuleDifference(after.path, Kind.ADDED, "", text, 0, after.parameters, weights)
    if after is None:
        text = before.beside(None)
        return ModuleDifference(before.path, Kind.REMOVED, text, "", before.parameters, 0, weights)
    counts = (before.parameters, after.parameters)
    moved = before.path if before.path != after.path else None
    if before.text != after.text or weights:
        texts = (before.beside(after), after.beside(before))
        return ModuleDifference(after.path, Kind.CHANGED, *texts, *counts, weights, moved)
    if before.trains != after.trains:
        texts = (before.training, after.training)
        return ModuleDifference(after.path, Kind.TRAINABLE, *texts, *counts, (), moved)
    return None


def _weights(before: _Leaf | None, after: _Leaf | None) -> tuple[WeightDifference, ...]:
    old = before.shapes if before else {}
    new = after.shapes if after else {}
    return tuple(
        WeightDifference(name, _shape(old.get(name)), _shape(new.get(name)))
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    )


def _shape(shape: tuple[int, ...] | None) -> str:
    return "" if shape is None else "×".join(map(str, shape)) or "()"


def _leaves(model: "nn.Module", root: str) -> dict[_Key, _Leaf]:
    return {
        _key(path, root): _leaf(path, module)
        for path, module in model.named_modules(remove_duplicate=False)
        if not any(module.children()) or any(True for _ in module.parameters(recurse=False))
    }


def _key(path: str, root: str) -> _Key:
    if not root or path == root:
        return True, path.removeprefix(root)
    inside = f"{root}."
    return path.startswith(inside), path.removeprefix(inside)


def _leaf(path: str, module: "nn.Module") -> _Leaf:
    own = list(module.named_parameters(recurse=False))
    return _Leaf(
        path=path,
        text=describe(module),
        shapes={name: tuple(parameter.shape) for name, parameter in own},
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


def _loss(recipe: Recipe) -> Message:
    if recipe.loss:
        return Message("loss {name}", name=recipe.loss)
    return Message("loss of the task")
