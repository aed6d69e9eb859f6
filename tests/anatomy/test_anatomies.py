"""A model is looked at once, for all threads and processes, and again where that was lost."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from torch import Tensor, nn

from netgraft.anatomy.anatomy import ANATOMY, Anatomies
from netgraft.anatomy.inspection import INPUT_SHAPE, input_shape
from netgraft.models.edits.freeze import Freeze
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store


class Counted(nn.Module):
    """A small network that counts how often it is built."""

    built = 0

    def __init__(self) -> None:
        super().__init__()
        Counted.built += 1
        self.body = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 5)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        logits_NK: Tensor = self.fc(self.body(x_NCHW).mean((2, 3)))
        return logits_NK


@pytest.fixture
def recipe(tiny: Callable[..., Recipe]) -> Recipe:
    Counted.built = 0
    return tiny(Counted)


def test_threads_that_ask_at_once_build_the_model_once(recipe: Recipe, store: Store) -> None:
    anatomies = Anatomies(store)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(anatomies.of, [recipe] * 8))
    assert [each.trace.classes for each in found] == [5] * 8
    assert Counted.built == 1


def test_a_recipe_and_its_parent_are_remembered_each_for_itself(
    recipe: Recipe, store: Store
) -> None:
    anatomies = Anatomies(store)
    frozen = recipe.with_edit(Freeze(("body",), False))
    assert anatomies.of(frozen).trace == anatomies.of(recipe).trace
    assert anatomies.of(recipe).trainable - anatomies.of(frozen).trainable == 3 * 4 * 9 + 4


def test_what_was_found_out_is_read_elsewhere_and_made_again_where_it_is_damaged(
    recipe: Recipe, store: Store, elsewhere: Callable[[Store], Anatomies]
) -> None:
    here = Anatomies(store)
    found = here.of(recipe), input_shape(recipe, here)
    built = Counted.built
    there = elsewhere(store)
    assert (there.of(recipe), input_shape(recipe, there)) == found
    assert Counted.built == built
    for memo in (ANATOMY, INPUT_SHAPE):
        path = Path(store.root, memo.kind, memo.file_name(recipe.id))
        path.write_bytes(path.read_bytes()[:-3])
    there = elsewhere(store)
    assert (there.of(recipe), input_shape(recipe, there)) == found
    assert Counted.built == 2 * built
