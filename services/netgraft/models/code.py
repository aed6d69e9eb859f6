"""A recipe as plain PyTorch code that needs only torch and the library of its base."""

import json
from dataclasses import replace

from netgraft.models import loss_code
from netgraft.models.lora_code import ADAPTED
from netgraft.models.recipe import (
    Base,
    Dropout,
    Freeze,
    HeadEdit,
    Lora,
    OwnerPatch,
    Recipe,
    Replace,
    Retarget,
)
from netgraft.models.source import Plain, source

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
    """New parameters with `out` outputs; everything else of the layer stays."""
    for name, old in layer.named_parameters(recurse=False):
        new = torch.empty(out, *old.shape[1:], dtype=old.dtype, device=old.device)
        setattr(layer, name, nn.Parameter(new, requires_grad=old.requires_grad))
    for attribute in ("out_features", "out_channels"):
        if hasattr(layer, attribute):
            setattr(layer, attribute, out)
'''

TRAIN = '''def train(model, path, trainable):
    """What trains of the module or the single parameter at `path`, "" for the model."""
    for name, parameter in model.named_parameters():
        if not path or name == path or name.startswith(path + "."):
            parameter.requires_grad_(trainable)
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


def python(recipe: Recipe, weights: str) -> str:
    """The code. `weights` is the name of the state_dict file that it loads."""
    base = _base(recipe.base)
    definitions = _definitions(recipe)
    lines = [
        *base.lines,
        *(_head(head) for head in _own_heads(recipe)),
        *_edits(recipe),
        f"weights = Path(__file__).with_name({_literal(weights)})",
        'model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))',
        "model.eval()",
    ]
    head = HEADER.format(
        title=_plain(recipe.title), id=recipe.id, short=recipe.id[:12], weights=_plain(weights)
    )
    text = head + _imports(base, recipe) + "".join(f"\n\n{part}" for part in definitions)
    return text + ("\n\n" if definitions else "\n") + "\n".join(lines) + "\n" + _classes(recipe)


def _base(base: Base) -> Plain:
    library = replace(base, file=None) if base.in_zoo else base
    return source(base.source).plain(library)


def _own_heads(recipe: Recipe) -> tuple[HeadEdit, ...]:
    """Heads in which a user's file differs from the library's structure."""
    return recipe.base.file.heads if recipe.base.file else ()


def _classes(recipe: Recipe) -> str:
    """The names of the classes by index, where somebody gave them."""
    names = "".join(f"    {_literal(name)},\n" for name in recipe.class_names)
    return f"classes = (\n{names})\n" if names else ""


def _imports(base: Plain, recipe: Recipe) -> str:
    standard = [line for line in base.imports if line.startswith("from unittest")]
    others = [line for line in base.imports if line not in standard]
    functional = ["import torch.nn.functional as F"] if recipe.loss else []
    lines = [*standard, "", "import torch", *functional, *others, "from torch import nn"]
    return "\n".join(lines) + "\n"


def _definitions(recipe: Recipe) -> list[str]:
    """The functions that this recipe's lines call, and its loss."""
    heads = [head for edit in recipe.edits_of(Retarget) for head in edit.heads]
    heads += _own_heads(recipe)
    needed = (
        (APPENDED, any(head.append for head in heads)),
        (RESIZE, any(not head.append for head in heads)),
        (TRAIN, any(recipe.edits_of(Freeze))),
        (ADAPTED, any(recipe.edits_of(Lora))),
        (DROPOUT, any(edit.layers for edit in recipe.edits_of(Dropout))),
        (loss_code.function(recipe.loss) if recipe.loss else "", bool(recipe.loss)),
    )
    return [text for text, wanted in needed if wanted]


def _edits(recipe: Recipe) -> list[str]:
    lines: list[str] = []
    for edit in recipe.edits:
        if isinstance(edit, Retarget):
            lines += [_head(head) for head in edit.heads]
            lines += [_patch(patch) for patch in edit.patches]
        elif isinstance(edit, Replace):
            lines.append(f"model.set_submodule({_literal(edit.path)}, nn.{edit.layer})")
        elif isinstance(edit, Dropout):
            lines += [f"dropout_before({_at(path)}, {edit.p})" for path in edit.layers]
            lines += [f"{_at(path)}.p = {edit.p}" for path in edit.dropouts]
        elif isinstance(edit, Lora):
            lines += _adapters(edit)
        elif isinstance(edit, Freeze):
            lines += [_freeze(path, edit.trainable) for path in edit.paths]
    return lines


def _adapters(edit: Lora) -> list[str]:
    heads = "".join(f"{_literal(f'{head}.')}, " for head in edit.trained).rstrip()
    return [
        "layers = (",
        *(f"    {_literal(path)}," for path in edit.layers),
        ")",
        f"adapt(model, layers, ({heads}), {edit.rank}, {edit.alpha}, {edit.dropout})",
    ]


def _head(head: HeadEdit) -> str:
    if head.append:
        return f"model = append(model, {head.in_features}, {head.after})"
    return f"resize({_at(head.path)}, {head.after})  # {_plain(str(head))}"


def _patch(patch: OwnerPatch) -> str:
    owner, name = _at(patch.path), patch.attribute
    if name.isidentifier():
        return f"{owner}.{name} = {patch.value}"
    return f"setattr({owner}, {_literal(name)}, {patch.value})"


def _freeze(path: str, trainable: bool) -> str:
    return f"train(model, {_literal(path)}, {trainable})"


def _at(path: str) -> str:
    return f"model.get_submodule({_literal(path)})" if path else "model"


# A user's file may call its modules, and itself, whatever it likes: no name may become code.


def _literal(text: str) -> str:
    """A string literal, in JSON's form, which Python reads alike."""
    return json.dumps(text, ensure_ascii=False)


def _plain(text: str) -> str:
    """Text for a comment or a docstring: one line that ends neither."""
    return "".join(c if c.isprintable() and c not in '"\\' else "?" for c in text)
