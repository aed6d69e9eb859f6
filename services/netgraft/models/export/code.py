"""A recipe as plain PyTorch code that needs only torch and the library of its base."""

import re
from dataclasses import replace

from torch import nn

from netgraft.models.bases import base_module, plain
from netgraft.models.build import apply_structure
from netgraft.models.edits.lora_code import ADAPTED
from netgraft.models.export import loss_code
from netgraft.models.export.statements import is_name, layer, literal, part, place, put
from netgraft.models.recipe import (
    Dropout,
    Edit,
    Freeze,
    HeadEdit,
    Lora,
    OwnerPatch,
    Recipe,
    Replace,
    Retarget,
)
from netgraft.models.source import Plain
from netgraft.store.store import Store

FEW = 3
"""Parts that are frozen a line each; more of them are frozen in a loop."""

PUT = re.compile(r"model[\w.\[\]]* = (?!append)")
"""A statement that gives one place of the model something new, and reads nothing of it."""

HEADER = '''"""{title}

Rebuilt from netgraft recipe {id}.
The weights lie beside this file:
netgraft export {short} --format state_dict -o {weights}
"""

from pathlib import Path
'''

APPENDED = """class Appended(nn.Module):
    def __init__(self, body, head):
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, x):
        features = self.body(x)
        if not torch.is_tensor(features):
            features = features[-1]
        if features.ndim == 4:
            features = features.mean(dim=(2, 3))
        elif features.ndim == 3:
            features = features.mean(dim=1)
        return self.head(features)


def append(model, inputs, out):
    like = next(model.parameters())
    return Appended(model, nn.Linear(inputs, out, dtype=like.dtype, device=like.device))
"""

RESIZE = '''def resize(layer, out):
    """New parameters with `out` outputs; the rest of the layer stays."""
    for name, old in layer.named_parameters(recurse=False):
        new = torch.empty(out, *old.shape[1:], dtype=old.dtype, device=old.device)
        setattr(layer, name, nn.Parameter(new, requires_grad=old.requires_grad))
    for attribute in ("out_features", "out_channels"):
        if hasattr(layer, attribute):
            setattr(layer, attribute, out)
'''

DROPOUT = '''def dropout_before(layer, p):
    """nn.Dropout before a layer, whose parameters keep their names."""
    kind = type(layer)

    class WithDropout(kind):
        def forward(self, x):
            return kind.forward(self, self.dropout(x))

    if not hasattr(layer, "dropout"):
        layer.__class__ = WithDropout
    layer.dropout = nn.Dropout(p)
'''


def python(recipe: Recipe, weights: str, store: Store) -> str:
    """The code. `weights` is the name of the state_dict file that it loads.

    Raises OnlyDrawn and CannotExport for a base that no code makes.
    """
    base = plain(recipe.base)
    body = [
        *base.lines,
        *_changes(recipe, store),
        "",
        f"weights = Path(__file__).with_name({literal(weights)})",
        'model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))',
        "model.eval()",
    ]
    definitions = _definitions(recipe, "\n".join(body))
    head = HEADER.format(
        title=_plain(recipe.title), id=recipe.id, short=recipe.id[:12], weights=_plain(weights)
    )
    code = "".join(f"\n\n{part}" for part in definitions) + ("\n\n" if definitions else "\n")
    code += "\n".join(body) + "\n" + _classes(recipe)
    return head + _imports(base, code) + code


def _classes(recipe: Recipe) -> str:
    """The names of the classes by index, where somebody gave them."""
    names = "".join(f"    {literal(name)},\n" for name in recipe.class_names)
    return f"classes = (\n{names})\n" if names else ""


def _imports(base: Plain, code: str) -> str:
    """What the code needs, in the order in which people write it."""
    standard = [line for line in base.imports if line.startswith("from unittest")]
    others = {line for line in base.imports if line not in standard}
    others.add("import torch")
    for line, word in (("import torch.nn.functional as F", "F."), ("from torch import nn", "nn.")):
        if re.search(rf"(?<![\w.]){re.escape(word)}", code):
            others.add(line)
    ordered = sorted(others, key=lambda line: (line.startswith("from"), line))
    return "\n".join([*standard, "", *ordered]) + "\n"


def _definitions(recipe: Recipe, body: str) -> list[str]:
    """The functions that the lines call, and the recipe's loss."""
    needed = (
        (APPENDED, "append("),
        (RESIZE, "resize("),
        (ADAPTED, "adapt("),
        (DROPOUT, "dropout_before("),
    )
    called = [
        text for text, call in needed if re.search(rf"(?m)^(model = )?{re.escape(call)}", body)
    ]
    return called + ([loss_code.function(recipe.loss)] if recipe.loss else [])


def _changes(recipe: Recipe, store: Store) -> list[str]:
    """What is done to the base, a statement a line; each sees the model as it is by then."""
    if recipe.base.file and recipe.base.file.heads:
        # Heads in which a user's file differs from the library's structure.
        model = base_module(replace(recipe.base, file=None), device="meta", store=store)
        own = Retarget(0, (), recipe.base.file.heads, (), "")
        edits: tuple[Edit, ...] = (own, *recipe.edits)
    else:
        model = base_module(recipe.base, device="meta", load_weights=False, store=store)
        edits = recipe.edits
    lines: list[str] = []
    for edit in edits:
        model = apply_structure(model, edit)
        for line in _lines(model, edit):
            _add(lines, line)
    return lines


def _add(lines: list[str], line: str) -> None:
    """Add a statement, and drop those before it that it makes vain."""
    target = line.partition(" = ")[0]
    if PUT.match(line):
        after = next((n for n in range(len(lines), 0, -1) if not PUT.match(lines[n - 1])), 0)
        vain = re.compile(rf"{re.escape(target)}(\.| = )")
        lines[after:] = [old for old in lines[after:] if not vain.match(old)]
    lines.append(line)


def _lines(model: nn.Module, edit: Edit) -> list[str]:
    """An edit as statements; `model` has it already."""
    if isinstance(edit, Retarget):
        heads = [line for head in edit.heads for line in _head(model, head)]
        return heads + [_patch(model, patch) for patch in edit.patches]
    if isinstance(edit, Replace):
        return [put(model, edit.path, f"nn.{edit.layer}")]
    if isinstance(edit, Dropout):
        before = [f"dropout_before({place(model, path)}, {edit.p})" for path in edit.layers]
        return before + [f"{place(model, path)}.p = {edit.p}" for path in edit.dropouts]
    if isinstance(edit, Lora):
        return _adapters(edit)
    return _trains(model, edit) if isinstance(edit, Freeze) else []


def _adapters(edit: Lora) -> list[str]:
    heads = "".join(f"{literal(f'{head}.')}, " for head in edit.trained).rstrip()
    return [
        "layers = (",
        *(f"    {literal(path)}," for path in edit.layers),
        ")",
        f"adapt(model, layers, ({heads}), {edit.rank}, {edit.alpha}, {edit.dropout})",
    ]


def _head(model: nn.Module, head: HeadEdit) -> list[str]:
    if head.append:
        return [f"model = append(model, {head.in_features}, {head.after})"]
    if made := layer(model, head.path):
        return [put(model, head.path, made.call), *made.attributes(place(model, head.path))]
    return [f"resize({place(model, head.path)}, {head.after})  # {_plain(str(head))}"]


def _patch(model: nn.Module, patch: OwnerPatch) -> str:
    owner, name = place(model, patch.path), patch.attribute
    if is_name(name):
        return f"{owner}.{name} = {patch.value}"
    return f"setattr({owner}, {literal(name)}, {patch.value})"


def _trains(model: nn.Module, edit: Freeze) -> list[str]:
    """What trains from here on."""
    parts = [part(model, path) for path in edit.paths]
    if len(parts) <= FEW:
        return [f"{part}.requires_grad_({edit.trainable})" for part in parts]
    listed = "".join(f"    {part},\n" for part in parts)
    return [f"for part in (\n{listed}):\n    part.requires_grad_({edit.trainable})"]


# A user's file may call its modules, and itself, whatever it likes: no name may become code.


def _plain(text: str) -> str:
    """Text for a comment or a docstring: one line that ends neither."""
    return "".join(c if c.isprintable() and c not in '"\\' else "?" for c in text)
