"""What is said of a model beside its heads, and kept: its input, and what it costs."""

import json

from netgraft.anatomy.anatomy import FORMAT, Anatomies, example
from netgraft.models import bases
from netgraft.models.recipe import Dropout, Freeze, Recipe, SetLoss, Tuned
from netgraft.store.store import Store

KIND = "flops"


def input_shape(recipe: Recipe, anatomies: Anatomies) -> tuple[int, ...]:
    """Shape of one example without the batch, such as (3, 224, 224). Raises OnlyDrawn."""
    base = recipe.base
    name = f"{Recipe(base).id}.{FORMAT}.input.json"
    return anatomies.kept(name, lambda: json.dumps(bases.input_shape(base)).encode(), _shape)


def _shape(data: bytes) -> tuple[int, ...]:
    return tuple(json.loads(data))


def flops(recipe: Recipe, store: Store) -> int:
    """Operations of one forward pass of one example; a multiply-add is 2.

    A detector's are those of a picture on which no box is dropped. Kept in the
    store by the recipe that last changed the structure.
    """
    while recipe.edits and isinstance(recipe.edits[-1], Freeze | SetLoss | Tuned | Dropout):
        recipe = recipe.parent
    if data := store.get_file(KIND, recipe.id):
        return int(data)
    count = _count(recipe, store)
    store.put_file(KIND, recipe.id, str(count).encode())
    return count


def _count(recipe: Recipe, store: Store) -> int:
    from netgraft.surgery.symbolic import warm

    warm()
    from torch.utils.flop_counter import FlopCounterMode

    from netgraft.anatomy.heads import call
    from netgraft.anatomy.standin import StandIn
    from netgraft.models.build import build

    module = build(recipe, store, device="meta").eval()
    counter = FlopCounterMode(display=False)
    with StandIn(), counter:
        call(module, example(recipe, batch=1))
    return int(counter.get_total_flops())
