"""A model card in Markdown: what the reader must know who has a model's file and nothing else.

The front matter is what model hubs read (huggingface.co/docs/hub/model-cards). Whatever a user
or a file named (class names, module paths, data) is escaped: it stays text.
"""

import json
from collections.abc import Iterator
from itertools import chain

from netgraft.language import Message
from netgraft.models import bases
from netgraft.models.build import build
from netgraft.models.edits.edit import Names
from netgraft.models.export import card_training
from netgraft.models.export.markdown import code, escaped, fenced
from netgraft.models.naming import short_id
from netgraft.models.recipe import Base, Recipe
from netgraft.models.source import source_of
from netgraft.store.store import Store

NOT_STATED = "not stated"

PIPELINES = {
    "classification": "image-classification",
    "segmentation": "image-segmentation",
    "detection": "object-detection",
    "video": "video-classification",
}
"""Tasks as model hubs call them."""

SHOWN_CLASSES = 50
"""More names than these are folded away."""


def markdown(recipe: Recipe, store: Store) -> str:
    """The card. Reads no weights."""
    parts = chain(
        _front(recipe),
        (f"# {escaped(recipe.title)}", f"Made with netgraft. Model {code(recipe.id)}."),
        ("## How it was made", *_made(recipe)),
        ("## Task", _task(recipe), *_classes(recipe)),
        ("## Training", *card_training.training(recipe, store)),
        ("## Input and answer", _input(recipe, store), *card_training.asking(recipe)),
        ("## Size", _size(recipe, store)),
        ("## Licence of the weights", _licence(recipe.base)),
        ("## How to load it", *_loading(recipe)),
        ("## Recipe", fenced(recipe.canonical(), "json")),
    )
    return "\n\n".join(parts) + "\n"


def _front(recipe: Recipe) -> Iterator[str]:
    base = recipe.base
    facts = {
        "library_name": source_of(base).library(),
        "pipeline_tag": PIPELINES.get(bases.task(base), ""),
        "license": source_of(base).licence(base),
        "tags": ["netgraft"],
    }
    lines = [f"{key}: {json.dumps(value)}" for key, value in facts.items() if value]
    yield "\n".join(["---", *lines, "---"])


def _licence(base: Base) -> str:
    if not bases.trained(base):
        return "None apply: it began from random weights."
    found = source_of(base).licence(base)
    if not found:
        return f"{NOT_STATED.capitalize()} by the library. Ask whoever published the weights."
    return f"{escaped(found)}, of the weights that it began from ({code(str(base))})."


# How it was made


def _made(recipe: Recipe) -> Iterator[str]:
    steps = [_began(recipe.base), *(f"{_written(edit.describe())}." for edit in recipe.edits)]
    yield "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))


def _began(base: Base) -> str:
    if base.file:
        structure = f", in the structure of {code(base.structure)}" if base.structure else ""
        sha256 = code(base.file.sha256)
        return f"Began from the file {escaped(base.file.name)}{structure} (SHA-256 {sha256})."
    weights = f"its weights {code(base.weights)}" if base.weights else "random weights"
    return f"Began from {code(base.name)} of {base.source} with {weights}."


def _written(said: object) -> object:
    """An edit's description in Markdown: the names in it as code."""
    if isinstance(said, Message):
        return said.template.format(**{key: _written(part) for key, part in said.values.items()})
    if isinstance(said, Names):
        return ", ".join(str(_written(name)) for name in said)
    return code(said) if isinstance(said, str) else said


# What it is for


def _task(recipe: Recipe) -> str:
    classes = recipe.classes or len(_names(recipe))
    counted = f", {classes} classes" if classes else ""
    return f"{bases.task(recipe.base).replace('_', ' ').capitalize()}{counted}."


def _names(recipe: Recipe) -> tuple[str, ...]:
    """Names of the classes, as far as they are still those that the model distinguishes."""
    own = () if recipe.has_new_classes else bases.class_names(recipe.base)
    return recipe.class_names or own


def _classes(recipe: Recipe) -> Iterator[str]:
    names = _names(recipe)
    lines = "\n".join(f"- {index}: {escaped(name)}" for index, name in enumerate(names))
    if len(names) > SHOWN_CLASSES:
        yield f"<details><summary>{len(names)} class names, by index</summary>"
        yield lines
        yield "</details>"
    elif names:
        yield lines
    else:
        yield "The classes have no names."


# What goes in, what it costs


def _input(recipe: Recipe, store: Store) -> str:
    shape = bases.input_shape(recipe.base)
    side = card_training.side(recipe, store)
    if side and len(shape) > 1:
        shape = (*shape[:-2], side, side)
    sizes = " × ".join(map(str, shape))
    if bases.task(recipe.base) == "detection":
        return (
            f"A list of RGB pictures of any size, {shape[0]} × height × width, values from 0 to 1. "
            "The model scales and normalises them itself."
        )
    expected = bases.preprocessing(recipe.base)
    return (
        f"N × {sizes}, RGB, values from 0 to 1, then per channel (value − mean) / std "
        f"with mean {_triple(expected.mean)} and std {_triple(expected.std)}."
    )


def _triple(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in values) + ")"


def _size(recipe: Recipe, store: Store) -> str:
    parameters = list(build(recipe, store, device="meta").parameters())
    total = sum(p.numel() for p in parameters)
    trains = sum(p.numel() for p in parameters if p.requires_grad)
    base = recipe.base
    known = source_of(base).flops(base)
    cost = f" {known / 1e9:.6g} GFLOPs a picture before it was edited." if known else ""
    return f"{total:,} parameters, of which {trains:,} train.{cost}"


# Loading


def _loading(recipe: Recipe) -> Iterator[str]:
    short = short_id(recipe.id)
    stem = source_of(recipe.base).stem(recipe.base)
    yield "Plain PyTorch, without netgraft: write the code and, beside it, the weights."
    script = (
        f"netgraft export {short} --format python -o rebuild.py\n"
        f"netgraft export {short} --format state_dict -o '{stem}-{short}.pth'"
    )
    yield fenced(script, "console")
    yield fenced("from rebuild import model  # in evaluation mode", "python")
    if recipe.training and recipe.training.answering:
        ask = (
            "from PIL import Image\nfrom rebuild import predict\n\n"
            'predict(Image.open("picture.jpg"))  # the probability of each class'
        )
        yield fenced(ask, "python")
        yield f"With netgraft: `netgraft predict {short} picture.jpg`."
    yield f"Its graph: `netgraft show {short}`."
