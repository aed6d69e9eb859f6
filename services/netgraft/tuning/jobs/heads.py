"""The layers that a tuning treats as heads: those that `anatomy` found by tracing."""

from netgraft.anatomy.anatomy import Anatomies
from netgraft.errors import SurgeryFailed
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store


def head_paths(recipe: Recipe, store: Store) -> tuple[str, ...]:
    """Module paths of the classifying layers, auxiliary ones included.

    () where no layer does, or where the model does not run on its example input.
    """
    try:
        trace = Anatomies(store).of(recipe).trace
    except SurgeryFailed:
        return ()
    return tuple(head.path for head in trace.heads if head.classes)
