"""Messages that several services reply with, made from recipes and the store."""

from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from netgraft.models import bases, notices
from netgraft.models.recipe import Recipe
from netgraft.serving.servicers import caller
from netgraft.v1 import models_pb2

if TYPE_CHECKING:
    from netgraft.store.store import Store


def model_message(recipe: Recipe, store: "Store") -> models_pb2.Model:
    """Return a stored recipe as a message, with its notices in the caller's language."""
    row = store.get_row(recipe.id)
    created = Timestamp()
    created.FromMilliseconds(int(row.created * 1000))
    base = Recipe(recipe.base)
    noted = (row if not recipe.edits else store.get_row(base.id)).notices
    language = caller().language
    return models_pb2.Model(
        id=recipe.id,
        parent_id=row.parent_id or "",
        base=str(recipe.base),
        title=recipe.title,
        recipe_json=recipe.canonical(),
        task=bases.task(recipe.base),
        classes=recipe.classes or 0,
        class_names=recipe.class_names,
        loss=recipe.loss,
        notices=[notices.said(notice, language) for notice in noted.splitlines()],
        create_time=created,
        metrics=recipe.metrics,
    )
