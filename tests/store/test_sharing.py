"""Long values of recipes are stored once, and nothing about a recipe shows it."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from netgraft.models.edits.freeze import Freeze
from netgraft.models.edits.lora import Lora
from netgraft.models.edits.retarget import Retarget
from netgraft.models.edits.set_loss import SetLoss
from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipe import Base, HeadEdit, Recipe
from netgraft.models.recipes import get_recipe, put_recipe
from netgraft.store.sharing import lengthen, shorten
from netgraft.store.store import Store
from netgraft.store.tables import SharedRow

BASE = Recipe(Base("torchvision", "resnet18", None))
NAMES = tuple(f"class number {index}" for index in range(1000))
HEAD = HeadEdit("fc", "Linear", 512, 1000, 1000)
NAMED = BASE.with_edit(Retarget(1000, NAMES, (HEAD,), (), ""))

names = st.lists(st.text(max_size=12), max_size=4).map(tuple)
edits = st.one_of(
    names.map(lambda n: Retarget(len(n) or 3, n, (HEAD,), (), "")),
    names.map(lambda n: Tuned("job", "ab" * 32, n, (("accuracy", 0.5),))),
    names.map(lambda n: Freeze((*n, *NAMES[:90]), False)),
    st.sampled_from([SetLoss("mse"), SetLoss('{"shared":"x"}'), Lora(2, 4.0, 0.0, NAMES, (), "")]),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'db.sqlite'}")


@settings(deadline=None)  # a busy machine is no slow code
@given(st.lists(edits, max_size=4))
def test_the_stored_form_reads_back_as_the_canonical_one(chosen: list) -> None:
    canonical = Recipe(BASE.base, tuple(chosen)).canonical()
    stored = shorten(canonical)
    assert lengthen(stored.text, stored.shared.__getitem__) == canonical
    assert all(text in canonical for text in stored.shared.values())


def test_class_names_are_never_copied_into_a_descendant(store: Store) -> None:
    recipe = NAMED
    for _ in range(20):
        recipe = recipe.with_edit(SetLoss("focal"))
    put_recipe(store, recipe.with_edit(Tuned("job", "ab" * 32, NAMES)))
    with Session(store.engine) as session:
        assert session.scalar(select(func.count()).select_from(SharedRow)) == 1
    grown = [len(store.get_row(r.id).canonical) for r in (NAMED, recipe)]
    assert all(length < 2000 for length in grown)


def test_even_two_short_names_are_stored_by_their_hash_alone(store: Store) -> None:
    recipe = BASE.with_edit(Retarget(2, ("猫", "dog"), (HEAD,), (), ""))
    put_recipe(store, recipe.with_edit(SetLoss("mse")))
    assert "猫" not in store.get_row(recipe.with_edit(SetLoss("mse")).id).canonical


def test_another_process_reads_the_same_recipe(store: Store) -> None:
    model_id = put_recipe(store, NAMED)
    again = Store(store.folder, str(store.engine.url))
    assert get_recipe(again, model_id) == NAMED
    assert get_recipe(again, model_id).id == model_id
    assert (
        json.loads(get_recipe(again, model_id).canonical())["edits"][0]["class_names"][7]
        == (NAMES[7])
    )
    again.engine.dispose()


def test_many_threads_may_store_the_same_names_at_once(store: Store) -> None:
    recipes = [NAMED.with_edit(SetLoss(loss)) for loss in ("mse", "l1", "focal", "huber")] * 4
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(partial(put_recipe, store), recipes))
    assert ids == {recipe.id for recipe in recipes}
    assert all(get_recipe(store, each).class_names == NAMES for each in ids)
