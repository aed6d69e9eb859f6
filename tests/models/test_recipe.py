"""A recipe is a value: equal ones have equal ids, and every change is another recipe."""

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netgraft.errors import NothingToUndo
from netgraft.models.edits.freeze import Freeze
from netgraft.models.edits.retarget import OwnerPatch, Retarget
from netgraft.models.edits.set_loss import SetLoss
from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipe import Base, HeadEdit, Recipe

BASE = Recipe(Base("torchvision", "resnet50", "IMAGENET1K_V2"))
HEAD = HeadEdit("fc", "Linear", 2048, 1000, 100)
RETARGET = Retarget(
    100, ("猫", "dog"), (HEAD,), (OwnerPatch("head", "num_classes", 100),), "ab" * 32
)
TUNED = Tuned("tune-1", "cd" * 32, ("a", "b"), (("accuracy", 0.5),))

edits = st.sampled_from(
    [RETARGET, TUNED, SetLoss("focal"), Freeze(("layer1", ""), True), Freeze((), False)]
)


@settings(deadline=None)  # a busy machine is no slow code
@given(st.lists(edits, max_size=5))
def test_the_canonical_form_reads_back_as_the_same_recipe(chosen: list) -> None:
    recipe = Recipe(BASE.base, tuple(chosen))
    again = Recipe.from_json(recipe.canonical())
    assert again == recipe
    assert again.id == recipe.id
    assert len(recipe.id) == 64


def test_fields_that_came_later_change_no_older_recipe() -> None:
    head = HeadEdit("fc", "Linear", 512, 1000, 2)
    patch = OwnerPatch("", "num_classes", 2)
    base = Base("torchvision", "resnet18", "IMAGENET1K_V1")
    edit = Retarget(2, ("cat", "dog"), (head,), (patch,), "ab" * 32)
    recipe = Recipe(base, (edit,))
    # The id that version 0.1 gave it.
    assert recipe.id == "242b7c13ba16927a2216e53869802a9368550fa906a9eb853bf260484622c1ab"
    assert Recipe.from_json(recipe.canonical()) == recipe
    warm = Recipe(base, (replace(edit, init="zeros", kept=(("cat", "tabby"),)),))
    assert warm.id != recipe.id
    assert Recipe.from_json(warm.canonical()) == warm


@settings(deadline=None)  # a busy machine is no slow code
@given(st.lists(edits, max_size=4), edits)
def test_undo_is_the_parent_and_every_edit_is_another_id(chosen: list, last: object) -> None:
    recipe = Recipe(BASE.base, tuple(chosen))
    edited = recipe.with_edit(last)
    assert edited.parent == recipe
    assert edited.id != recipe.id


def test_a_base_has_nothing_to_undo() -> None:
    with pytest.raises(NothingToUndo, match="no edit to undo"):
        _ = BASE.parent


def test_the_id_of_a_known_recipe_never_changes() -> None:
    # A changed id would orphan every stored model: a new canonical form needs a new version.
    assert BASE.id == "554a0c6e5a845a7126a0da63ca874a3993955e993a00641135fb5cf0c4f30918"


def test_classes_names_loss_and_metrics_come_from_the_newest_edit_that_says() -> None:
    recipe = BASE.with_edit(RETARGET).with_edit(SetLoss("mse")).with_edit(TUNED)
    assert recipe.classes == 100
    assert recipe.class_names == ("a", "b")
    assert recipe.loss == "mse"
    assert recipe.metrics == {"accuracy": 0.5}
    assert recipe.with_edit(SetLoss("l1")).metrics == {}
    assert recipe.title == "resnet50 · 100 classes · mse · tuned"
    assert str(HEAD) == "fc: Linear(2048 → 1000) → Linear(2048 → 100)"


def test_an_edit_describes_itself_in_both_languages() -> None:
    everything = Freeze(("",), False).describe()
    assert everything == "Froze: the whole model"
    assert everything.say("zh") == "已冻结：整个模型"
    many = Freeze(tuple(f"layer{n}" for n in range(11)), True).describe()
    assert many.startswith("Trains again: layer0, layer1, ")
    assert many.endswith(", layer7 and 3 more")
    assert RETARGET.describe().say("zh") == f"新的 100 类分类头：{HEAD}"


def test_reading_a_recipe_of_every_edit_imports_no_torch() -> None:
    code = (
        "import sys, pkgutil; from netgraft.models import edits, recipe; "
        "from netgraft.models.edits.edit import kind; "
        "print(*(kind(f.name) for f in pkgutil.iter_modules(edits.__path__) if f.name != 'edit')); "
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    kinds, modules = done.stdout.splitlines()
    assert all(name in kinds for name in ("Retarget", "Lora", "Tuned"))
    assert {"torch", "numpy", "importlib.metadata", "sqlalchemy"} & set(modules.split()) == set()
