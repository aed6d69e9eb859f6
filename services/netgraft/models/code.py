"""A recipe as plain PyTorch code that needs only torch, its library and safetensors."""

import json

from netgraft.models.recipe import (
    Base,
    Dropout,
    Freeze,
    HeadEdit,
    OwnerPatch,
    Recipe,
    Replace,
    Retarget,
)

LIBRARIES = {"torchvision": "import torchvision\n", "timm": "import timm\n", "file": ""}

HEADER = '''"""{title}: rebuilt from netgraft recipe {id}.

`netgraft export {short} --format safetensors -o {weights}` writes the weights file.
"""

{library}import torch
from safetensors.torch import load_file
from torch import nn

'''

APPENDED = """
class Appended(nn.Module):
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


"""

RESIZE = '''
def resize(layer, out):
    """New parameters with `out` outputs; everything else of the layer stays."""
    for name, old in layer.named_parameters(recurse=False):
        setattr(layer, name, nn.Parameter(torch.empty(out, *old.shape[1:])))
    for attribute in ("out_features", "out_channels"):
        if hasattr(layer, attribute):
            setattr(layer, attribute, out)


'''


TRAIN = '''
def train(model, path, trainable):
    """What trains of the module or the single parameter at `path`, "" for the model."""
    for name, parameter in model.named_parameters():
        if not path or name == path or name.startswith(path + "."):
            parameter.requires_grad_(trainable)


'''


DROPOUT = '''
def dropout_before(layer, p):
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
    """The code. `weights` is the name of the safetensors file that it loads."""
    heads = [head for edit in recipe.edits if isinstance(edit, Retarget) for head in edit.heads]
    heads += recipe.base.file.heads if recipe.base.file else ()
    text = HEADER.format(
        title=_plain(recipe.title),
        id=recipe.id,
        short=recipe.id[:12],
        weights=_plain(weights),
        library=LIBRARIES[recipe.base.source],
    )
    if any(head.append for head in heads):
        text += APPENDED
    if any(not head.append for head in heads):
        text += RESIZE
    if any(isinstance(edit, Freeze) for edit in recipe.edits):
        text += TRAIN
    if any(edit.layers for edit in recipe.edits_of(Dropout)):
        text += DROPOUT
    lines = [*_base(recipe.base), *_edits(recipe)]
    lines += [f"model.load_state_dict(load_file({_literal(weights)}))", "model.eval()"]
    return text + "\n".join(lines) + "\n"


def _base(base: Base) -> list[str]:
    if base.source == "file" and base.file:
        # Torch's own loader runs what is in the file; netgraft has looked at this very one.
        return [
            f"# The SHA-256 of the file is {base.file.sha256}.",
            f"model = torch.load({base.name!r}, weights_only=False)",
        ]
    return [*_library(base), *(_head(head) for head in (base.file.heads if base.file else ()))]


def _library(base: Base) -> list[str]:
    if base.source == "timm":
        name = f"{base.name}.{base.weights}" if base.weights else base.name
        return [f"model = timm.create_model({_literal(name)}, pretrained=False)"]
    # The weights' name decides structure too (auxiliary heads, input size).
    choice = _literal(base.weights) if base.weights else "None"
    return [f"model = torchvision.models.get_model({_literal(base.name)}, weights={choice})"]


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
        elif isinstance(edit, Freeze):
            lines += [_freeze(path, edit.trainable) for path in edit.paths]
    return lines


def _head(head: HeadEdit) -> str:
    if head.append:
        return f"model = Appended(model, nn.Linear({head.in_features}, {head.after}))"
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
