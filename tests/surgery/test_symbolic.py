"""A retarget is tried once for every class count, and only where that proves something."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netgraft.anatomy.anatomy import Anatomies
from netgraft.errors import SurgeryFailed
from netgraft.models.build import build
from netgraft.models.recipe import Recipe
from netgraft.models.resolve import resolve
from netgraft.store.store import Store
from netgraft.surgery import symbolic
from netgraft.surgery.freeze import set_trainable
from netgraft.surgery.retarget import retarget
from netgraft.surgery.symbolic import Foresight

Register = Callable[..., Recipe]
Elsewhere = Callable[[Store], Anatomies]


class Counted(nn.Module):
    """A small network that counts how often it is built and run."""

    built = ran = 0
    classes = 5

    def __init__(self) -> None:
        super().__init__()
        Counted.built += 1
        self.fc = nn.Linear(3, self.classes)

    def forward(self, x_NCHW: Tensor) -> Any:
        Counted.ran += 1
        return self.ahead(self.fc(x_NCHW.mean((2, 3))))

    def ahead(self, logits_NK: Tensor) -> Any:
        return logits_NK


@pytest.fixture(autouse=True)
def _count_anew() -> None:
    Counted.built = Counted.ran = 0


def test_a_second_count_neither_builds_the_model_nor_runs_it(
    tiny: Register, anatomies: Anatomies, elsewhere: Elsewhere
) -> None:
    recipe = tiny(Counted)
    edited = retarget(recipe, 9, (), anatomies).recipe
    Counted.built = Counted.ran = 0
    again = retarget(recipe, 12, (), anatomies).recipe
    onwards = retarget(edited, 14, (), elsewhere(anatomies.store)).recipe
    assert (Counted.built, Counted.ran) == (0, 0)
    for model, classes in ((again, 12), (onwards, 14)):
        assert build(model, anatomies.store)(torch.rand(2, 3, 4, 4)).shape == (2, classes)


def test_what_trains_is_counted_for_the_model_as_it_is(store: Store) -> None:
    anatomies = Anatomies(store)
    recipe = resolve("timm/test_resnet@none", "pretrained", store).recipe
    retarget(recipe, 9, (), anatomies)
    frozen = set_trainable(recipe, ["backbone"], False, anatomies).recipe
    edited = retarget(frozen, 12, (), anatomies).recipe
    trains = [p.numel() for p in build(edited, store).parameters() if p.requires_grad]
    assert anatomies.of(edited).trainable == sum(trains)


class Even(Counted):
    classes = 6

    def ahead(self, logits_NK: Tensor) -> Any:
        if logits_NK.shape[1] % 2:
            raise ValueError("an even number of classes is wanted")
        return logits_NK


class Few(Counted):
    def __init__(self) -> None:
        super().__init__()
        self.num_classes = 5

    def ahead(self, logits_NK: Tensor) -> Any:
        assert self.num_classes <= 50, "at most 50"
        return logits_NK


class Cut(Counted):
    """Returns other outputs where there are many classes."""

    def ahead(self, logits_NK: Tensor) -> Any:
        return logits_NK if logits_NK.shape[1] <= 50 else logits_NK[:, :50]


class Named(Counted):
    """Asks whether its class count is one of a set, which takes no symbol."""

    def __init__(self) -> None:
        super().__init__()
        self.num_classes = 5

    def ahead(self, logits_NK: Tensor) -> Any:
        assert self.num_classes in {5, 8, 12}, "5, 8 or 12"
        return logits_NK


class Looped(Counted):
    classes = 4  # not a hint, which would be compared with itself

    def __init__(self) -> None:
        super().__init__()
        self.num_classes = self.classes

    def ahead(self, logits_NK: Tensor) -> Any:
        return torch.stack([logits_NK[:, k] for k in range(self.num_classes)], 1)


def test_a_model_that_loops_over_its_classes_is_run_with_one_symbol_only(
    tiny: Register, anatomies: Anatomies
) -> None:
    recipe = tiny(Looped)
    for count in (9, 12):
        edited = retarget(recipe, count, (), anatomies).recipe
        assert build(edited, anatomies.store)(torch.rand(2, 3, 4, 4)).shape == (2, count)
    anatomy, symbol, alone, built_here = 1, 1, 2, 2
    assert Counted.built == anatomy + symbol + alone + built_here


@pytest.mark.parametrize(
    ("kind", "fine", "refused"),
    [(Few, (8, 50), (51, 900)), (Cut, (8, 50), (51, 900)), (Named, (8, 12), (9, 13))],
)
def test_a_count_that_the_models_code_treats_otherwise_is_tried_on_its_own(
    kind: type[Counted],
    fine: tuple[int, ...],
    refused: tuple[int, ...],
    tiny: Register,
    anatomies: Anatomies,
) -> None:
    recipe = tiny(kind)
    for count in fine:
        edited = retarget(recipe, count, (), anatomies).recipe
        assert build(edited, anatomies.store)(torch.rand(2, 3, 4, 4)).shape == (2, count)
    for count in refused:
        with pytest.raises(SurgeryFailed):
            retarget(recipe, count, (), anatomies)


def test_a_condition_that_is_not_linear_in_the_count_proves_nothing(
    tiny: Register, anatomies: Anatomies
) -> None:
    recipe = tiny(Even)
    for count in (8, 10):
        retarget(recipe, count, (), anatomies)
    for count in (7, 9):
        with pytest.raises(SurgeryFailed, match="even number"):
            retarget(recipe, count, (), anatomies)


WHILE_IT_WARMS_UP = """
import sys, threading, time

from netgraft.surgery.servicer import SurgeryServicer
from netgraft.models.torch_ready import wait_for_torch
from netgraft.v1 import surgery_pb2


class Watch:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread() and thread.is_alive():
            early.append(name)


early = []
thread = threading.Thread(target=wait_for_torch)
sys.meta_path.insert(0, Watch())
thread.start()
while "torch" not in sys.modules and thread.is_alive():
    time.sleep(0.001)
RPC
print([name for name in early if name.startswith(("torch", "sympy"))])
"""


@pytest.mark.parametrize(
    "rpc",
    [
        "SurgeryServicer().InspectModel(surgery_pb2.InspectModelRequest(model=NAME))",
        "SurgeryServicer().FreezeLayers(surgery_pb2.FreezeLayersRequest(model=NAME, layers=ALL))",
    ],
)
def test_who_comes_while_torch_is_imported_imports_nothing_of_it_beside(
    rpc: str, tmp_path: Path
) -> None:
    rpc = rpc.replace("NAME", "'resnet18@none'").replace("ALL", "['backbone']")
    line = [sys.executable, "-c", WHILE_IT_WARMS_UP.replace("RPC", rpc)]
    environment = {**os.environ, "NETGRAFT_STATE": str(tmp_path)}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_guards_are_linear_conditions() -> None:
    guard = symbolic.Guard(times=49, plus=-1000, relation=">=")
    assert [count for count in range(19, 23) if guard.holds(count)] == [21, 22]


def test_what_follows_from_a_run_with_a_symbol_is_not_stored_again(
    store: Store, elsewhere: Elsewhere
) -> None:
    def kept() -> int:
        return len(store.names("heads"))

    recipe = resolve("timm/test_resnet@none", "pretrained", store).recipe
    here = Foresight(store)
    edited = retarget(recipe, 7, (), here).recipe
    known = kept()
    others = [retarget(recipe, classes, (), here).recipe for classes in (8, 9)]
    again = elsewhere(store)
    assert again.of(edited) == here.of(edited) == Anatomies(store)._examine(edited)
    assert [again.of(other).trace.classes for other in others] == [8, 9]
    assert kept() == known


def test_a_model_that_was_retargeted_hundreds_of_times_is_still_known(
    tiny: Register, store: Store, elsewhere: Elsewhere
) -> None:
    here = Foresight(store)
    edited = retarget(tiny(Counted), 7, (), here).recipe
    (edit,) = edited.edits
    often = Recipe(edited.base, (edit,) * 400)
    again = elsewhere(store)
    assert again.of(often).trace == here.of(edited).trace
