"""The run of a retarget whose class count is a symbol: what it does, and for which counts.

See `symbolic`, which keeps what comes out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import sympy
import torch
import torch.nn.functional as F
from sympy.core.relational import Relational
from torch import Tensor
from torch._dynamo.source import ConstantSource
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv
from torch.overrides import TorchFunctionMode

from netgraft.anatomy.anatomy import FORWARD_ERRORS, Anatomies
from netgraft.errors import SurgeryFailed
from netgraft.models.build import build
from netgraft.models.recipe import Recipe
from netgraft.surgery.trial import planned, tried

HIGHEST = 2**48
"""A bound above this does not count."""


def run(recipe: Recipe, hint: int, anatomies: Anatomies) -> dict[str, Any] | None:
    """Guards and trial as JSON has them; None where a symbol does not get through the model.

    Without a trial where the model wants the count as a number, as code that loops over the
    classes does: it would want it of every other hint too. (A hint that is the count before the
    edit becomes a number in any comparison with that, which says nothing of other hints.)
    """
    shapes = _Shapes()
    source = ConstantSource("classes")
    symbol = shapes.create_symbol(hint, source, dynamic_dim=DimDynamic.DYNAMIC)
    count: Any = shapes.create_symintnode(symbol, hint=hint, source=source)
    before = anatomies.of(recipe).trace
    edit = planned(recipe, before, count - 1 if before.detector else count, ())
    module = build(recipe, anatomies.store, device="meta")
    stays = _StaysSymbol(shapes, symbol)
    try:
        with FakeTensorMode(shape_env=shapes, allow_non_fake_inputs=True), stays:
            done = tried(recipe, edit, before, module)
        return {"trial": _linear(done, symbol), "guards": [*_guards(shapes, symbol)]}
    except _Pinned:
        return None if hint == before.classes else {"trial": None, "guards": []}
    except (SurgeryFailed, *FORWARD_ERRORS):
        return None


class _Pinned(Exception):
    """The model took the count as the number that the hint is."""


class _Shapes(ShapeEnv):
    """Skips the search for the user's line of code behind a guard, which only messages show.

    To tell that code from its own, PyTorch would import its compiler, which takes half a second.
    """

    def _get_user_frame(self) -> None:
        return None


class _StaysSymbol(TorchFunctionMode):
    """Ends a run whose count has become a number; resizes pictures without making it one.

    Torch's usual way to resize wants numbers; the operators in `RESIZING` take symbols.
    """

    def __init__(self, shapes: ShapeEnv, symbol: sympy.Symbol) -> None:
        super().__init__()
        self._shapes, self._symbol = shapes, symbol

    def __torch_function__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if self._symbol in self._shapes.replacements:
            raise _Pinned
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
