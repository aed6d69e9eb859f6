"""A recipe as plain PyTorch code that needs only torch and the library of its base."""

import re
from collections.abc import Iterable
from dataclasses import replace

from torch import nn

from netgraft.models.bases import base_module, plain
from netgraft.models.build import fitting
from netgraft.models.edits.edit import Edit
from netgraft.models.edits.retarget import Retarget
from netgraft.models.export.asking_code import asking
from netgraft.models.export.statements import Assignment, comment, literal
from netgraft.models.recipe import Recipe
from netgraft.models.source import Plain
from netgraft.store.store import Store

HEADER = '''"""{title}

Rebuilt from netgraft recipe {id}.
The weights lie beside this file:
netgraft export {short} --format state_dict -o {weights}
"""

from pathlib import Path
'''


def python(recipe: Recipe, weights: str, store: Store) -> str:
    """The code. `weights` is the name of the state_dict file that it loads.

    Raises OnlyDrawn and CannotExport for a base that no code makes.
    """
    base = plain(recipe.base)
    changes, definitions = _changes(recipe, store)
    body = [
        *base.lines,
        *changes,
        "",
        f"weights = Path(__file__).with_name({literal(weights)})",
        'model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))',
        "model.eval()",
    ]
    head = HEADER.format(
        title=comment(recipe.title), id=recipe.id, short=recipe.id[:12], weights=comment(weights)
    )
    code = "".join(f"\n\n{part}" for part in definitions) + ("\n\n" if definitions else "\n")
    code += "\n".join(body) + "\n" + _classes(recipe) + asking(recipe)
    return head + _imports(base, code) + code


def _classes(recipe: Recipe) -> str:
    """The names of the classes by index, where somebody gave them."""
    names = "".join(f"    {literal(name)},\n" for name in recipe.class_names)
    return f"classes = (\n{names})\n" if names else ""


def _imports(base: Plain, code: str) -> str:
    """The imports that the code needs, in the order in which people write them."""
    standard = [line for line in base.imports if line.startswith("from unittest")]
    others = {line for line in base.imports if line not in standard}
    others.add("import torch")
    for line, word in (("import torch.nn.functional as F", "F."), ("from torch import nn", "nn.")):
        if re.search(rf"(?<![\w.]){re.escape(word)}", code):
            others.add(line)
    ordered = sorted(others, key=lambda line: (line.startswith("from"), line))
    return "\n".join([*standard, "", *ordered]) + "\n"


def _changes(recipe: Recipe, store: Store) -> tuple[list[str], list[str]]:
    """The edits as statements, one a line, and the definitions that they need."""
    model, edits = _start(recipe, store)
    lines: list[str] = []
    definitions: dict[str, str] = {}
    for edit in edits:
        with fitting(recipe, edit):
            model = edit.restructure(model)
        code = edit.code(model)  # each sees the model as it is by then
        for line in code.lines:
            _add(lines, line)
        definitions.update(code.definitions)
    return lines, [*definitions.values()]


def _start(recipe: Recipe, store: Store) -> tuple[nn.Module, Iterable[Edit]]:
    """The module that the base's code makes, on meta, and the edits that follow."""
    if recipe.base.file and recipe.base.file.heads:
        # Heads in which a user's file differs from the library's structure.
        model = base_module(replace(recipe.base, file=None), device="meta", store=store)
        own = Retarget(0, (), recipe.base.file.heads, (), "")
        return model, (own, *recipe.edits)
    return base_module(recipe.base, device="meta", load_weights=False, store=store), recipe.edits


def _add(lines: list[str], line: str) -> None:
    """Add a statement, and drop those just before it that it overwrites."""
    if isinstance(line, Assignment):
        plain = (n for n in range(len(lines), 0, -1) if not isinstance(lines[n - 1], Assignment))
        after = next(plain, 0)
        vain = (f"{line.target}.", f"{line.target} = ")
        lines[after:] = [old for old in lines[after:] if not old.startswith(vain)]
    lines.append(line)
