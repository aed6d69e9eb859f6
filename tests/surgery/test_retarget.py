"""The edit itself: what it makes, what it stores, and what it refuses."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netgraft.anatomy.anatomy import Anatomies
from netgraft.anatomy.heads import Output, Trace
from netgraft.anatomy.roles import Head
from netgraft.errors import InvalidClasses, InvalidValue, NetgraftError, SurgeryFailed, TooLarge
from netgraft.models import drawn
from netgraft.models.build import build
from netgraft.models.edits.retarget import Retarget
from netgraft.models.recipe import HeadEdit, Recipe
from netgraft.models.recipes import get_recipe
from netgraft.models.resolve import resolve
from netgraft.models.values import values
from netgraft.store.store import Store
from netgraft.surgery.retarget import retarget
from netgraft.surgery.verify import breach

Register = Callable[..., Recipe]
SMALL = "timm/test_resnet"


class Net(nn.Module):
    """A stem, and a head that a subclass may abuse."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        for name, layer in (layers or {"fc": nn.Linear(8, 5)}).items():
            setattr(self, name, layer)

    def forward(self, x: Tensor) -> Any:
        return self.ahead(self.stem(x).mean((2, 3)))

    def ahead(self, f_NC: Tensor) -> Any:
        return self.fc(f_NC)


def base(store: Store, name: str = SMALL) -> Recipe:
    return resolve(f"{name}@none", "pretrained", store).recipe


def files(store: Store) -> set[str]:
    tensors = Path(store.root) / "tensors"
    return {path.name for path in tensors.iterdir()} if tensors.exists() else set()


def edit_of(recipe: Recipe) -> Retarget:
    edit = recipe.edits[-1]
    assert isinstance(edit, Retarget)
    return edit


def test_the_new_model_answers_with_the_asked_classes(anatomies: Anatomies) -> None:
    recipe = retarget(base(anatomies.store), 7, (), anatomies).recipe
    model = build(recipe, anatomies.store).eval()
    assert model(torch.rand(2, 3, 160, 160)).shape == (2, 7)


def test_everything_but_the_head_keeps_its_bits(anatomies: Anatomies) -> None:
    parent = base(anatomies.store)
    before = build(parent, anatomies.store).state_dict()
    after = build(retarget(parent, 7, (), anatomies).recipe, anatomies.store).state_dict()
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"fc.weight", "fc.bias"}


def head_values(recipe: Recipe, store: Store) -> dict[str, Tensor]:
    """The tensors that the last edit gave the model, as they are in it."""
    draw = edit_of(recipe).draw
    assert draw is not None
    found = values(recipe, draw.names, store)
    state = build(recipe, store).state_dict()
    assert all(torch.equal(value, state[name]) for name, value in found.items())
    return found


def test_only_the_new_head_is_drawn_and_nothing_is_stored(anatomies: Anatomies) -> None:
    recipe = retarget(base(anatomies.store), 7, (), anatomies).recipe
    tensors = head_values(recipe, anatomies.store)
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {
        "fc.weight": (7, edit_of(recipe).heads[0].in_features),
        "fc.bias": (7,),
    }
    assert not files(anatomies.store)


def test_a_head_of_a_million_classes_costs_no_disk(anatomies: Anatomies) -> None:
    recipe = retarget(base(anatomies.store), 1_000_000, (), anatomies).recipe
    assert not files(anatomies.store)
    kept = sum(f.stat().st_size for f in Path(anatomies.store.root).rglob("*") if f.is_file())
    assert kept < 10_000
    assert edit_of(recipe).classes == 1_000_000


@pytest.mark.parametrize("classes", [5, 7])
def test_a_new_head_takes_nothing_of_the_parents_of_the_same_name(
    classes: int, anatomies: Anatomies
) -> None:
    parent = retarget(base(anatomies.store), 5, (), anatomies).recipe
    before = head_values(parent, anatomies.store)
    after = head_values(retarget(parent, classes, (), anatomies).recipe, anatomies.store)
    rows = min(5, classes)
    assert not torch.equal(before["fc.weight"][:rows], after["fc.weight"][:rows])


def test_without_weights_a_new_head_is_still_no_memory_of_somebody_else(
    anatomies: Anatomies,
) -> None:
    recipe = retarget(base(anatomies.store), 50, (), anatomies).recipe
    layer = build(recipe, anatomies.store, with_weights=False).get_submodule("fc")
    assert all(not value.any() for value in layer.state_dict().values())


def test_the_same_edit_gives_the_same_model(tmp_path: Path) -> None:
    ids = set()
    for place in ("a", "b"):
        torch.manual_seed(len(ids))
        anatomies = Anatomies(Store(str(tmp_path / place), f"sqlite:///{tmp_path / place}.db"))
        ids.add(retarget(base(anatomies.store), 7, (), anatomies).recipe.id)
        anatomies.store.engine.dispose()
    assert len(ids) == 1


def test_other_classes_give_other_values_and_the_global_random_state_stays(
    anatomies: Anatomies,
) -> None:
    parent = base(anatomies.store)
    state = torch.get_rng_state()
    seven, eight = (retarget(parent, count, (), anatomies).recipe for count in (7, 8))
    assert torch.equal(state, torch.get_rng_state())
    first, second = (head_values(recipe, anatomies.store)["fc.weight"] for recipe in (seven, eight))
    assert not torch.equal(first, second[:7])


def test_values_are_spread_as_the_layer_would_reset_them(anatomies: Anatomies) -> None:
    recipe = retarget(base(anatomies.store), 500, (), anatomies).recipe
    bound = 1 / math.sqrt(edit_of(recipe).heads[0].in_features)
    for value in head_values(recipe, anatomies.store).values():
        assert bound * 0.97 < value.abs().max() <= bound
        assert abs(float(value.mean())) < 0.1 * bound


def test_a_sigmoid_detector_starts_from_rare_classes(anatomies: Anatomies) -> None:
    recipe = resolve("fcos_resnet50_fpn", "pretrained", anatomies.store).recipe
    names = [f"head.classification_head.cls_logits.{part}" for part in ("weight", "bias")]
    edited = retarget(recipe, 3, (), anatomies).recipe
    weight, bias = values(edited, names, anatomies.store).values()
    assert torch.allclose(bias.sigmoid(), torch.tensor(0.01))
    # Uniform, of the deviation that torchvision draws normally.
    assert float(weight.std()) == pytest.approx(0.01, rel=0.03)
    assert float(weight.abs().max()) <= 0.01 * math.sqrt(3)


def test_names_say_how_many_classes_there_are(anatomies: Anatomies) -> None:
    recipe = retarget(base(anatomies.store), 0, (" cat", "狗 "), anatomies).recipe
    assert (recipe.classes, recipe.class_names) == (2, ("cat", "狗"))


def test_a_model_can_be_retargeted_again_and_again(anatomies: Anatomies) -> None:
    recipe = base(anatomies.store)
    for classes in (7, 1, 7, 64):
        recipe = retarget(recipe, classes, (), anatomies).recipe
        assert anatomies.of(recipe).trace.classes == classes
    assert build(recipe, anatomies.store).eval()(torch.rand(1, 3, 160, 160)).shape == (1, 64)


def test_what_is_remembered_is_what_a_fresh_look_shows(
    anatomies: Anatomies, elsewhere: Callable[[Store], Anatomies]
) -> None:
    recipe = retarget(base(anatomies.store), 7, (), anatomies).recipe
    kept = anatomies.of(recipe)
    assert elsewhere(anatomies.store).of(recipe) == kept
    assert Anatomies(anatomies.store)._examine(recipe) == kept


def test_undo_gives_the_parents_bits(anatomies: Anatomies) -> None:
    parent = retarget(base(anatomies.store), 7, (), anatomies).recipe
    before = build(parent, anatomies.store).state_dict()
    child = retarget(parent, 3, (), anatomies).recipe
    after = build(child.parent, anatomies.store).state_dict()
    assert child.parent.id == parent.id
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_bias_dtype_and_frozen_state_of_the_head_stay(tiny: Register, anatomies: Anatomies) -> None:
    def half() -> nn.Module:
        net = Net(fc=nn.Linear(8, 5, bias=False)).bfloat16()
        net.stem.float()
        net.fc.requires_grad_(False)
        net.ahead = lambda f: net.fc(f.bfloat16())
        return net

    recipe = retarget(tiny(half), 9, (), anatomies).recipe
    layer = build(recipe, anatomies.store).get_submodule("fc")
    assert isinstance(layer, nn.Linear)
    assert layer.bias is None
    assert (layer.weight.dtype, layer.weight.requires_grad) == (torch.bfloat16, False)
    assert (layer.out_features, tuple(layer.weight.shape)) == (9, (9, 8))


class Cached(Net):
    """Reshapes by a class count of its own; `hidden` happens to equal it."""

    def __init__(self, attribute: str) -> None:
        super().__init__(fc=nn.Linear(8, 5))
        self.hidden = 5
        self.flag = True
        self.attribute = attribute
        setattr(self, attribute, 5)

    def ahead(self, f_NC: Tensor) -> Tensor:
        assert self.hidden == 5
        return self.fc(f_NC).view(-1, getattr(self, self.attribute))


@pytest.mark.parametrize("attribute", ["num_classes", "n_class", "columns"])
def test_a_cached_class_count_is_patched_and_nothing_else(
    attribute: str, tiny: Register, anatomies: Anatomies
) -> None:
    recipe = retarget(tiny(lambda: Cached(attribute)), 9, (), anatomies).recipe
    (patch,) = edit_of(recipe).patches
    assert (patch.path, patch.attribute, patch.value) == ("", attribute, 9)
    model = build(recipe, anatomies.store)
    assert getattr(model, "hidden") == 5  # noqa: B009
    assert model(torch.rand(2, 3, 16, 16)).shape == (2, 9)


@pytest.mark.parametrize("shape", ["NC", "NLC", "NCHW", "several"])
def test_a_headless_model_gets_a_layer_behind_its_pooled_features(
    shape: str, tiny: Register, anatomies: Anatomies
) -> None:
    class Headless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))

        def forward(self, x: Tensor) -> Any:
            f_NCHW = self.stem(x)
            return {
                "NC": f_NCHW.mean((2, 3)),
                "NLC": f_NCHW.flatten(2).transpose(1, 2),
                "NCHW": f_NCHW,
                "several": [x, f_NCHW],
            }[shape]

    recipe = retarget(tiny(Headless), 9, (), anatomies).recipe
    (head,) = edit_of(recipe).heads
    assert (head.append, head.in_features) == (True, 8)
    assert build(recipe, anatomies.store)(torch.rand(2, 3, 16, 16)).shape == (2, 9)
    again = retarget(recipe, 4, (), anatomies).recipe
    assert build(again, anatomies.store)(torch.rand(2, 3, 16, 16)).shape == (2, 4)


@pytest.mark.parametrize("classes", [0, -5, 10**9, 1_000_001, -(2**62)])
def test_impossible_class_counts_are_refused(classes: int, anatomies: Anatomies) -> None:
    with pytest.raises(InvalidClasses):
        retarget(base(anatomies.store), classes, (), anatomies)
    assert not files(anatomies.store)


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (0, ("cat", "cat")),
        (0, ("cat", " cat")),
        (0, ("cat", "")),
        (0, ("cat", "  ")),
        (3, ("cat", "dog")),
        (1, ("cat", "dog")),
    ],
)
def test_impossible_class_names_are_refused(
    classes: int, names: tuple[str, ...], anatomies: Anatomies
) -> None:
    with pytest.raises(InvalidValue):
        retarget(base(anatomies.store), classes, names, anatomies)
    assert not files(anatomies.store)


def test_a_head_larger_than_memory_is_refused(
    anatomies: Anatomies, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = retarget(base(anatomies.store), 7, (), anatomies).recipe
    monkeypatch.setattr(drawn, "COPIES", 2**40)
    with pytest.raises(TooLarge):
        retarget(base(anatomies.store), 8, (), anatomies)
    assert not files(anatomies.store)
    for needs_it in (build, lambda *known: values(*known[:1], ["fc.weight"], *known[1:])):
        with pytest.raises(TooLarge):
            needs_it(recipe, anatomies.store)


class Shuffled(Net):
    """Its layer's outputs become places, not classes."""

    def ahead(self, f_NC: Tensor) -> Tensor:
        return self.fc(f_NC).view(-1, 1, 2, 4)


class Chained(Net):
    """Feeds its logits on into a layer that wants five of them."""

    def __init__(self) -> None:
        super().__init__(fc=nn.Linear(8, 5), second=nn.Linear(5, 3))

    def ahead(self, f_NC: Tensor) -> Any:
        logits = self.fc(f_NC)
        return logits, self.second(logits)


class Bare(Net):
    """Multiplies by a parameter of its own."""

    def __init__(self) -> None:
        super().__init__(norm=nn.LayerNorm(8))
        self.projection = nn.Parameter(torch.zeros(8, 8))

    def ahead(self, f_NC: Tensor) -> Tensor:
        return self.norm(f_NC) @ self.projection


class Shared(Net):
    """Uses its head's weight a second time, in another place."""

    def ahead(self, f_NC: Tensor) -> Tensor:
        return self.fc(f_NC + torch.zeros(5, device=f_NC.device) @ self.fc.weight)


class Broken(Net):
    def ahead(self, f_NC: Tensor) -> Tensor:
        raise ValueError("no such luck")


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (lambda: Shuffled(fc=nn.Linear(8, 8)), "none of its layers"),
        (Chained, "does not run"),
        (Bare, "not a plain layer"),
        (Shared, "does not run"),
        (Broken, "no such luck"),
        (lambda: nn.Unflatten(2, (4, 4)), "5 dimensions"),
        (
            lambda: Net(fc=nn.utils.parametrizations.weight_norm(nn.Linear(8, 5))),
            "not a plain layer",
        ),
    ],
)
def test_a_model_that_surgery_would_break_stays_as_it_is(
    kind: Callable[[], nn.Module], problem: str | None, tiny: Register, anatomies: Anatomies
) -> None:
    recipe = tiny(kind)
    with pytest.raises(SurgeryFailed, match=problem) as caught:
        retarget(recipe, 9, (), anatomies)
    assert "nothing was changed" in caught.value.sentence()
    assert not files(anatomies.store)
    with pytest.raises(NetgraftError):
        get_recipe(anatomies.store, recipe.with_edit(Retarget(9, (), (), (), "")).id)


HEAD = Head("fc", "Linear", 8, 5, 5, "main")
BEFORE = Trace((HEAD,), (Output("", (2, 5), ("fc",)),))
AFTER = Trace((replace(HEAD, out_features=9, classes=9),), (Output("", (2, 9), ("fc",)),))
EDIT = (HeadEdit("fc", "Linear", 8, 5, 9),)


def test_a_clean_edit_is_no_breach() -> None:
    assert breach(BEFORE, AFTER, EDIT, 9) == ""


@pytest.mark.parametrize(
    "after",
    [
        BEFORE,
        replace(AFTER, heads=()),
        replace(AFTER, heads=(replace(AFTER.heads[0], in_features=4),)),
        replace(AFTER, heads=(*AFTER.heads, replace(HEAD, path="other"))),
        replace(AFTER, outputs=()),
        replace(AFTER, outputs=(Output("", (2, 5), ("fc",)),)),
        replace(AFTER, outputs=(Output("", (2, 8), ("fc",)),)),
        replace(AFTER, outputs=(Output("", (1, 9), ("fc",)),)),
        replace(AFTER, outputs=(Output("", (2, 9, 1), ("fc",)),)),
        replace(AFTER, outputs=(Output("logits", (2, 9), ("fc",)),)),
        replace(AFTER, training_outputs=(Output("", (2, 9), ("fc",)),)),
    ],
)
def test_any_other_change_is_a_breach(after: Trace) -> None:
    assert breach(BEFORE, after, EDIT, 9)
