"""A state that version 0.1 wrote (state-0.1): its models keep their ids, tensors and values.

It was written on 2026-11-27 by that version's own code: heads of five classes, of zeros and by
name, frozen layers, a loss, a norm in another's place, dropout, LoRA, classes that kept their
weights, and a tuned model. `expected.json` has what that version made of each.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from netgraft.anatomy.anatomy import Anatomies
from netgraft.models.build import build
from netgraft.models.recipes import get_recipe
from netgraft.models.values import drawn_names, values
from netgraft.store.store import Store
from netgraft.surgery.retarget import retarget

WRITTEN = Path(__file__).parent / "state-0.1"
EXPECTED: dict[str, dict[str, Any]] = json.loads((WRITTEN / "expected.json").read_text())


@pytest.fixture
def store(
    tmp_path: Path, torch_home_with_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    monkeypatch.setenv("TORCH_HOME", str(torch_home_with_weights))
    shutil.copytree(WRITTEN, tmp_path / "state")
    store = Store(str(tmp_path / "state/store"), f"sqlite:///{tmp_path / 'state/netgraft.db'}")
    yield store
    store.engine.dispose()


def digest(value: Tensor) -> str:
    return hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_model_of_0_1_keeps_its_id_its_tensors_and_its_values(name: str, store: Store) -> None:
    expected = EXPECTED[name]
    recipe = get_recipe(store, expected["id"])
    assert recipe.id == expected["id"]
    assert [edit.changes.delta for edit in recipe.edits] == expected["tensors"]
    state = build(recipe, store).state_dict()
    assert {key: digest(state[key]) for key in expected["values"]} == expected["values"]
    heads = [key for key in expected["values"] if key.startswith(("fc.", "classifier."))]
    found = values(recipe, heads, store)
    assert {key: digest(value) for key, value in found.items()} == {
        key: expected["values"][key] for key in heads
    }
    assert not drawn_names(recipe)


def test_a_model_of_0_1_can_be_edited_further(store: Store) -> None:
    old = get_recipe(store, EXPECTED["names"]["id"])
    edited = retarget(old, 0, ("cat", "dog", "emu"), Anatomies(store)).recipe
    assert get_recipe(store, edited.id) == edited
    assert edited.parent == old
    assert drawn_names(edited) == {"fc.weight", "fc.bias"}
    kept = store.get_row(old.id).canonical
    assert '["ant","bee"]' in kept, "a row that was there is left as it was"
