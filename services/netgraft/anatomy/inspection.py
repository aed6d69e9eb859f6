"""A model's input and what one forward pass costs, remembered like its heads."""

import json

from netgraft.anatomy.anatomy import FORMAT, KIND, Anatomies, example
from netgraft.models import bases
from netgraft.models.recipe import Recipe
from netgraft.models.torch_ready import wait_for_torch
from netgraft.store.memo import Memo
from netgraft.store.store import Store


def input_shape(recipe: Recipe, anatomies: Anatomies) -> tuple[int, ...]:
    """Shape of one example without the batch, such as (3, 224, 224). Raises OnlyDrawn."""
    base = recipe.base
    key = Recipe(base).id
    return INPUT_SHAPE.get(anatomies.store, key, lambda: tuple(bases.input_shape(base)))


def flops(recipe: Recipe, store: Store) -> int:
    """Operations of one forward pass of one example; a multiply-add is 2.

    A detector's are those of a picture on which no box is dropped. Remembered by the recipe
    that last changed the structure.
    """
    while recipe.edits and not recipe.edits[-1].changes.flops:
        recipe = recipe.parent
    return FLOPS.get(store, recipe.id, lambda: _count(recipe, store))


def _count(recipe: Recipe, store: Store) -> int:
    wait_for_torch()
    from netgraft.anatomy import operations
    from netgraft.anatomy.heads import call
    from netgraft.anatomy.standin import StandIn
    from netgraft.models.build import build

    module = build(recipe, store, device="meta").eval()
    with StandIn():
        return operations.of_forward(lambda: call(module, example(recipe, batch=1)))


def _to_json(value: object) -> bytes:
    return json.dumps(value).encode()


def _shape(data: bytes) -> tuple[int, ...]:
    return tuple(json.loads(data))


INPUT_SHAPE = Memo(KIND, "input.json", FORMAT, _to_json, _shape)
FLOPS = Memo("flops", "json", "1", _to_json, int)
