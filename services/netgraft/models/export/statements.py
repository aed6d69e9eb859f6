"""Modules as a person writes them: `model.classifier[1]`, `nn.Linear(1280, 10)`.

Only what means the same is written so: where an expression would name another module, or a
call make another layer, nothing is returned, and `code` takes a way that always works.
"""

import json
import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from netgraft.models.stored import Scalar

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Python reads other letters in a form of its own (NFKC), which may be another name."""

_PLACE = re.compile(r"model[\w.\[\]]*")

_CONVOLUTION = {
    "kernel_size": None,
    "stride": 1,
    "padding": 0,
    "dilation": 1,
    "groups": 1,
    "bias": True,
    "padding_mode": "zeros",
}
"""Keywords of a convolution and their defaults."""

_LAYERS: dict[type[nn.Module], tuple[tuple[str, str], dict[str, Any]]] = {
    nn.Linear: (("in_features", "out_features"), {"bias": True}),
    nn.Conv1d: (("in_channels", "out_channels"), _CONVOLUTION),
    nn.Conv2d: (("in_channels", "out_channels"), _CONVOLUTION),
    nn.Conv3d: (("in_channels", "out_channels"), _CONVOLUTION),
}
"""Classes of layers that are written as a call: positional arguments and keywords."""

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def literal(text: str) -> str:
    """A string literal, in JSON's form, which Python reads alike."""
    return json.dumps(text, ensure_ascii=False)


def place(model: nn.Module, path: str) -> str:
    """An expression for a module of the model, such as `model.classifier[1]`."""
    return _plain_place(model, path) or f"model.get_submodule({literal(path)})"


class Assignment(str):
    """A statement that gives one place of the model something new, and reads nothing of it."""

    __slots__ = ()

    @property
    def target(self) -> str:
        """The place, such as `model.fc`."""
        return self.partition(" = ")[0]


def assignment(target: str, value: object) -> str:
    """A statement that assigns to a place; an Assignment where names alone lead there."""
    text = f"{target} = {value}"
    return Assignment(text) if _PLACE.fullmatch(target) else text


def put(model: nn.Module, path: str, made: str) -> str:
    """A statement that puts what an expression makes in the place of a module."""
    if plain := _plain_place(model, path):
        return assignment(plain, made)
    return f"model.set_submodule({literal(path)}, {made})"


def set_attribute(model: nn.Module, path: str, name: str, value: object) -> str:
    """A statement that gives an attribute of a module a value, which `value` is the code of."""
    owner = place(model, path)
    if is_name(name):
        return assignment(f"{owner}.{name}", value)
    return f"setattr({owner}, {literal(name)}, {value})"


def comment(text: str) -> str:
    """Text for a comment or a docstring: one line that ends neither.

    A user's file may call its modules, and itself, whatever it likes: no name may become code.
    """
    return "".join(c if c.isprintable() and c not in '"\\' else "?" for c in text)


def part(model: nn.Module, path: str) -> str:
    """An expression for a module or a single parameter."""
    owner, _, name = path.rpartition(".")
    held = model.get_submodule(owner)
    if not path or name not in held._parameters:
        return place(model, path)
    plain = _plain_place(model, owner)
    if plain and is_name(name) and getattr(held, name) is held._parameters[name]:
        return f"{plain}.{name}"
    return f"model.get_parameter({literal(path)})"


@dataclass(frozen=True)
class Made:
    """The call that makes a layer, and attributes that its owner gave it besides."""

    call: str
    extra: dict[str, Scalar]

    def attributes(self, at: str) -> list[str]:
        """Statements that give the attributes to the layer at a place."""
        return [assignment(f"{at}.{name}", _argument(value)) for name, value in self.extra.items()]


def layer(model: nn.Module, path: str) -> Made | None:
    """The call that makes a layer like the one at a path; None where no plain call does."""
    found = model.get_submodule(path)
    if type(found) not in _LAYERS or _is_shared(model, found):
        return None
    positional, keywords = _LAYERS[type(found)]
    given = [getattr(found, name) for name in positional]
    values = {name: _short(_value(found, name)) for name in keywords}
    said = {name: value for name, value in values.items() if value != keywords[name]}
    made = type(found)(*given, **said, device="meta")
    extra = {k: v for k, v in _attributes(found).items() if k not in _attributes(made)}
    if not (_is_like(found, made, extra) and all(map(_can_be_said, extra.items()))):
        return None
    arguments = [repr(value) for value in given]
    arguments += [f"{name}={_argument(value)}" for name, value in said.items()]
    return Made(f"nn.{type(found).__name__}({', '.join(arguments)})", extra)


def is_name(text: str) -> bool:
    """True if a text may stand behind a dot, and means itself there."""
    return bool(_NAME.fullmatch(text)) and not keyword.iskeyword(text)


def _can_be_said(attribute: tuple[str, object]) -> bool:
    name, value = attribute
    return is_name(name) and isinstance(value, bool | int | float | str)


def _argument(value: object) -> str:
    return literal(value) if isinstance(value, str) else repr(value)


def _plain_place(model: nn.Module, path: str) -> str:
    """Attributes and indices that lead to a module; "" where they would lead elsewhere."""
    text, here = "model", model
    for name in path.split(".") if path else ():
        child: nn.Module = getattr(here, name)
        if isinstance(here, nn.Sequential | nn.ModuleList) and name.isascii() and name.isdigit():
            if int(name) >= len(here) or here[int(name)] is not child:
                return ""
            text += f"[{int(name)}]"
        elif is_name(name):
            text += f".{name}"
        else:
            return ""
        here = child
    return text


def _value(found: nn.Module, name: str) -> Any:
    return found.bias is not None if name == "bias" else getattr(found, name)


def _short(value: Any) -> Any:
    """One number for all dimensions where they are equal."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def _is_like(found: nn.Module, made: nn.Module, extra: dict[str, Any]) -> bool:
    """True if a layer has nothing but `extra` that a newly made one lacks; values of tensors
    aside."""
    return (
        _attributes(found) == _attributes(made) | extra
        and _parameters(found) == _parameters(made)
        and not (found._buffers or found._modules)
        and not any(getattr(found, hooks, None) for hooks in _HOOKS)
    )


def _attributes(module: nn.Module) -> dict[str, Any]:
    return {n: value for n, value in vars(module).items() if n[0] != "_" and n != "training"}


def _parameters(module: nn.Module) -> list[tuple[str, torch.Size, torch.dtype, bool]]:
    return [(n, p.shape, p.dtype, p.requires_grad) for n, p in module.named_parameters()]


def _is_shared(model: nn.Module, found: nn.Module) -> bool:
    """True if more than one place in a model holds a module: putting another into one of
    them would leave the others as they are."""
    return sum(held is found for held in _held(model)) > 1


def _held(model: nn.Module) -> Iterator[object]:
    for part in model.modules():
        yield from part._modules.values()
        for name, value in vars(part).items():
            if name == "_modules":
                continue
            yield from value if isinstance(value, list | tuple) else (value,)
