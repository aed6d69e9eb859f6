"""What is stored is found again, whole, once, by id and by prefix."""

import errno
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from netgraft.errors import DiskFull, UnknownModel
from netgraft.models.edits.set_loss import SetLoss
from netgraft.models.recipe import Base, Recipe, UserFile
from netgraft.models.recipes import get_recipe, put_recipe
from netgraft.store.store import Store
from netgraft.store.tables import RecipeRow

BASE = Recipe(Base("torchvision", "resnet18", None))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'db.sqlite'}")


def test_a_recipe_is_found_by_its_id_and_by_a_unique_prefix(store: Store) -> None:
    recipe = BASE.with_edit(SetLoss("mse"))
    model_id = put_recipe(store, recipe)
    assert get_recipe(store, model_id) == recipe
    assert get_recipe(store, model_id[:8].upper()) == recipe
    assert get_recipe(store, BASE.id) == BASE, "ancestors are stored too"


def test_what_queries_ask_for_stands_in_columns_of_its_own(store: Store) -> None:
    file = UserFile("ab" * 32, "state_dict", "mine.pth")
    own = Recipe(replace(BASE.base, file=file)).with_edit(SetLoss("mse"))
    put_recipe(store, own)
    rows = [store.get_row(recipe.id) for recipe in (own, own.parent)]
    assert [row.last_op for row in rows] == ["set_loss", ""]
    for row in rows:
        assert (row.base_source, row.base_name, row.has_file) == ("torchvision", "resnet18", True)
    put_recipe(store, BASE)
    found = store.newest_rows(RecipeRow.last_op == "", most=10)
    assert [row.id for row in found] == [BASE.id, own.parent.id]
    assert [row.has_file for row in found] == [False, True]
    assert len(store.newest_rows(RecipeRow.last_op == "", most=1)) == 1


@pytest.mark.parametrize("text", ["", "ab", "0" * 64, "'; drop table recipes; --", "%" * 8])
def test_an_unknown_id_is_an_error_that_names_it(store: Store, text: str) -> None:
    put_recipe(store, BASE)
    with pytest.raises(UnknownModel) as caught:
        get_recipe(store, text)
    assert caught.value.values["name"] == text


def test_many_threads_may_store_one_recipe_at_once(store: Store) -> None:
    recipes = [BASE.with_edit(SetLoss(loss)) for loss in ("mse", "l1")] * 8
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(partial(put_recipe, store), recipes))
    assert ids == {recipes[0].id, recipes[1].id}
    assert [get_recipe(store, recipe.id) for recipe in recipes[:2]] == recipes[:2]
    assert len(store.newest_rows(RecipeRow.id != "", most=10)) == len({*ids, BASE.id})


def test_tensors_come_back_bit_exact_and_are_stored_once(store: Store) -> None:
    tensors = {"w": torch.randn(5, 3).to(torch.bfloat16), "n": torch.tensor(7)}
    digest = store.put_tensors(tensors)
    assert digest == store.put_tensors(tensors)
    back = store.get_tensors(digest)
    assert all(torch.equal(back[name], value) for name, value in tensors.items())
    assert store.tensors_size(digest) < 5 * 3 * 2 + 8 + 512
    assert len(store.files.ls(f"{store.root}/tensors")) == 1


def test_a_few_tensors_are_read_without_the_others(store: Store) -> None:
    tensors = {"b": torch.randn(3), "big": torch.zeros(2**20), "a": torch.arange(4)}
    digest = store.put_tensors(tensors)
    some = store.get_some_tensors(digest, {"a", "b", "unknown"})
    assert some.keys() == {"a", "b"}
    assert all(torch.equal(value, tensors[name]) for name, value in some.items())
    assert store.get_some_tensors(digest, ()) == {}


def test_a_full_disk_is_reported_and_leaves_no_half_file(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: str, data: bytes) -> None:
        Path(path).write_bytes(data[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store.files, "pipe_file", full)
        with pytest.raises(DiskFull, match="Free some space"):
            store.put_file("graphs", "x.onnx", b"data")
    assert list(Path(store.root, "graphs").iterdir()) == []
    assert store.get_file("graphs", "x.onnx") is None
    store.put_file("graphs", "x.onnx", b"data")
    assert store.get_file("graphs", "x.onnx") == b"data"


def test_a_file_is_written_once(store: Store) -> None:
    store.put_file("graphs", "a", b"first")
    store.put_file("graphs", "a", b"second")
    assert store.get_file("graphs", "a") == b"first"
