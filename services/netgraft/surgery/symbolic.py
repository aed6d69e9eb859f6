"""A retarget tried once for every class count: the count is a symbol.

PyTorch's symbolic shapes run the edited model with a class count that is no number. What
comes out is the shape of each output as a function of the count, and each condition on the
count that the model's code asked about on its way (the guards). Whatever count keeps these
takes the same way through the model, so its trial is known without running anything: a
retarget then costs what its head costs, however large the model is. Counts that break a
guard, and models whose code PyTorch cannot follow so, are tried on their own (`trial`).
"""

import json
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import sympy
import torch
import torch.nn.functional as F
from sympy.core.relational import Relational
from torch import Tensor
from torch._dynamo.source import ConstantSource
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, uninteresting_files
from torch.overrides import TorchFunctionMode

from netgraft.errors import SurgeryFailed
from netgraft.models.build import build
from netgraft.models.recipe import OwnerPatch, Recipe, Retarget, SetLoss, Tuned
from netgraft.surgery.anatomy import FORWARD_ERRORS, Anatomies, from_document
from netgraft.surgery.trial import Blank, Trial, planned, total_classes, tried

FORMAT = 1
"""Raised when what is kept changes: older files are then made anew."""

HINTS = (5, 13, 211)
"""Counts, background included, that stand for few, some and many: code that branches on the
count, as detectors do to keep at most 1,000 boxes, goes one way or another."""

HIGHEST = 2**48
"""Above this a bound is none."""

RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Guard:
    """`times` · count + `plus` stands in `relation` to 0."""

    times: int
    plus: int
    relation: str

    def holds(self, count: int) -> bool:
        return RELATIONS[self.relation](self.times * count + self.plus, 0)


@dataclass(frozen=True)
class Symbolic:
    """The trial of every class count that keeps the guards."""

    guards: tuple[Guard, ...]
    document: dict[str, Any]
    """A `Trial` as JSON has it; a number that follows the count is {"times": …, "plus": …}."""

    def at(self, count: int) -> Trial | None:
        """The trial of one count, background included; None where a guard says no."""
        if not all(guard.holds(count) for guard in self.guards):
            return None
        return _trial(_at(self.document, count))


def warm() -> None:
    """Import what PyTorch imports when it first works with symbols, a second's worth."""
    uninteresting_files()


def tried_symbolically(recipe: Recipe, edit: Retarget, anatomies: Anatomies) -> Trial:
    """What an edit, without tensors and patches, does to a recipe. Raises SurgeryFailed."""
    before = anatomies.of(recipe).trace
    for hint in HINTS:
        known = _known(_root(recipe), hint, anatomies)
        if known and (found := known.at(total_classes(edit.classes, before))):
            return found
    return tried(recipe, edit, before, build(recipe, anatomies.store, device="meta"))


def _root(recipe: Recipe) -> Recipe:
    """The oldest ancestor that answers to a class count as this recipe does."""
    while recipe.edits:
        last = recipe.edits[-1]
        appends = isinstance(last, Retarget) and any(head.append for head in last.heads)
        if appends or not isinstance(last, Retarget | SetLoss | Tuned):
            break
        recipe = recipe.parent
    return recipe


def _known(recipe: Recipe, hint: int, anatomies: Anatomies) -> Symbolic | None:
    """What is known of all counts that are like `hint`; found out when nobody did so before."""

    def make() -> bytes:
        return json.dumps(_run(recipe, hint, anatomies), separators=(",", ":")).encode()

    return anatomies.kept(f"{recipe.id}.{hint}.{FORMAT}.retarget.json", make, _read)


def _read(data: bytes) -> Symbolic | None:
    document = json.loads(data)
    if document is None:
        return None
    guards = tuple(Guard(*guard) for guard in document["guards"])
    return Symbolic(guards, document["trial"])


def _at(value: Any, count: int) -> Any:
    """A document with the count put in."""
    if isinstance(value, list):
        return [_at(item, count) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"times", "plus"}:
        return value["times"] * count + value["plus"]
    return {key: _at(item, count) for key, item in value.items()}


def _trial(document: dict[str, Any]) -> Trial:
    return Trial(
        patches=tuple(OwnerPatch(**patch) for patch in document["patches"]),
        blanks=tuple(
            Blank(**{**blank, "shape": tuple(blank["shape"])}) for blank in document["blanks"]
        ),
        anatomy=from_document(document["anatomy"]),
    )


# The run


def _run(recipe: Recipe, hint: int, anatomies: Anatomies) -> dict[str, Any] | None:
    """Guards and trial as JSON has them; None where the model cannot be followed so."""
    shapes = ShapeEnv()
    source = ConstantSource("classes")
    symbol = shapes.create_symbol(hint, source, dynamic_dim=DimDynamic.DYNAMIC)
    count: Any = shapes.create_symintnode(symbol, hint=hint, source=source)
    before = anatomies.of(recipe).trace
    edit = planned(recipe, before, count - 1 if before.detector else count, ())
    module = build(recipe, anatomies.store, device="meta")
    try:
        with FakeTensorMode(shape_env=shapes, allow_non_fake_inputs=True), _SizesStaySymbols():
            done = tried(recipe, edit, before, module)
        return {"trial": _linear(done, symbol), "guards": [*_guards(shapes, symbol)]}
    except (SurgeryFailed, *FORWARD_ERRORS):
        return None


class _SizesStaySymbols(TorchFunctionMode):
    """Resizes pictures by operators that take symbols; torch's usual way wants numbers."""

    def __torch_function__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        resize = RESIZING.get(kwargs.get("mode", "nearest"))
        if func is F.interpolate and resize and args[0].dim() == 4 and not kwargs["antialias"]:
            return resize(args[0], _sides(args[0], **kwargs), bool(kwargs["align_corners"]))
        return func(*args, **kwargs)


def _sides(value_NCHW: Tensor, size: Any, scale_factor: Any, **_: Any) -> list[int]:
    """Height and width that F.interpolate would give; each is said once, or for both."""
    one = size if size is not None else scale_factor
    both = one if isinstance(one, list | tuple) else (one, one)
    if size is not None:
        return [*both]
    return [int(side * scale) for side, scale in zip(value_NCHW.shape[2:], both, strict=True)]


RESIZING: dict[str, Callable[..., Tensor]] = {
    "bilinear": torch.ops.aten.upsample_bilinear2d.default,
    "bicubic": torch.ops.aten.upsample_bicubic2d.default,
}


def _linear(value: Any, symbol: sympy.Symbol) -> Any:
    """A trial as JSON has it, symbols written out. Raises ValueError where one is not linear."""
    if isinstance(value, torch.SymInt):
        times, plus = _coefficients(value.node.expr, symbol)
        return {"times": times, "plus": plus} if times else plus
    if is_dataclass(value):
        return {each.name: _linear(getattr(value, each.name), symbol) for each in fields(value)}
    return [_linear(item, symbol) for item in value] if isinstance(value, tuple) else value


def _guards(shapes: ShapeEnv, symbol: sympy.Symbol) -> Iterator[tuple[int, int, str]]:
    """The conditions on the count. Raises ValueError where one is not linear."""
    if shapes.deferred_runtime_asserts:
        raise ValueError("the model asks about numbers that nobody knows")
    bounds = shapes.var_to_range[symbol]
    yield 1, -int(bounds.lower), ">="
    if bounds.upper < HIGHEST:
        yield 1, -int(bounds.upper), "<="
    for expression in dict.fromkeys(guard.expr for guard in shapes.guards):
        if not isinstance(expression, Relational):
            raise ValueError(f"{expression} is no plain condition")
        times, plus = _coefficients(expression.lhs - expression.rhs, symbol)
        yield times, plus, expression.rel_op


def _coefficients(expression: sympy.Expr, symbol: sympy.Symbol) -> tuple[int, int]:
    """a and b of a · symbol + b. Raises ValueError for another form."""
    times, plus = expression.coeff(symbol, 1), expression.coeff(symbol, 0)
    if sympy.expand(expression - times * symbol - plus) != 0 or not (
        times.is_Integer and plus.is_Integer
    ):
        raise ValueError(f"{expression} is not linear in the class count")
    return int(times), int(plus)
