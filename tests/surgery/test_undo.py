"""Whatever edits are made, undoing them gives back each model before, to the bit."""

import pytest
import torch
from google.protobuf.struct_pb2 import Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from netgraft.errors import EditFailed, NothingToUndo, UnknownModule
from netgraft.models.build import build
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.models.resolve import resolve
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.v1 import surgery_pb2

BASES = ("timm/test_resnet@none", "timm/test_vit@none", "lraspp_mobilenet_v3_large@none")

LAYERS = ("backbone", "head", "all", "*.0", "*bias", "layer*", "blocks.*")
LAYERS_IN_PLACES = (
    ("act1", "GELU", {}),
    ("bn1", "BatchNorm2d", {"num_features": Value(number_value=32)}),
    ("blocks.0.mlp.act", "ReLU", {}),
    ("norm", "LayerNorm", {"normalized_shape": Value(number_value=64)}),
    ("backbone.0.2", "SiLU", {}),
)
"""Some have parameters, some have none; each fits one of the bases."""

counts = st.integers(1, 40)
layers = st.lists(st.sampled_from(LAYERS), min_size=1, max_size=2, unique=True)
edits = st.one_of(
    st.builds(lambda n: ("RetargetModel", {"classes": n}), counts),
    st.builds(lambda n: ("RetargetModel", {"classes": n, "init": "zeros"}), counts),
    st.builds(lambda n: ("RetargetModel", {"class_names": [f"c{i}" for i in range(n)]}), counts),
    st.builds(lambda where: ("FreezeLayers", {"layers": where}), layers),
    st.builds(lambda where: ("UnfreezeLayers", {"layers": where}), layers),
    st.builds(lambda loss: ("SetLoss", {"loss": loss}), st.sampled_from(["focal", "bce"])),
    st.builds(lambda r: ("AddLora", {"rank": r}), st.integers(1, 4)),
    st.builds(
        lambda at: ("ReplaceModule", {"path": at[0], "type": at[1], "arguments": at[2]}),
        st.sampled_from(LAYERS_IN_PLACES),
    ),
    st.builds(lambda p: ("SetDropout", {"p": p}), st.sampled_from([0.0, 0.25, 0.5])),
)


@pytest.fixture(scope="module")
def surgery(common_store: Store) -> SurgeryServicer:
    return SurgeryServicer(common_store)


def weights(recipe: Recipe, store: Store) -> dict[str, tuple[Tensor, bool]]:
    """All tensors of the model by name, and whether each trains."""
    module = build(recipe, store)
    trains = {name for name, p in module.named_parameters() if p.requires_grad}
    return {name: (value, name in trains) for name, value in module.state_dict().items()}


def same(left: dict[str, tuple[Tensor, bool]], right: dict[str, tuple[Tensor, bool]]) -> bool:
    return left.keys() == right.keys() and all(
        torch.equal(value, right[name][0]) and trains == right[name][1]
        for name, (value, trains) in left.items()
    )


def edited(surgery: SurgeryServicer, recipe: Recipe, edit: tuple[str, dict[str, object]]) -> Recipe:
    rpc, values = edit
    request = getattr(surgery_pb2, f"{rpc}Request")(model=recipe.id, **values)
    try:
        reply = getattr(surgery, rpc)(request)
    except (EditFailed, UnknownModule):  # a pattern fits nothing, or adapters are there already
        return recipe
    return get_recipe(surgery.store, reply.model.id)


def examples(most: int) -> settings:
    return settings(max_examples=most, deadline=None, suppress_health_check=list(HealthCheck))


def every_model_before_is_given_back(
    base: str, steps: list[tuple[str, dict[str, object]]], surgery: SurgeryServicer
) -> None:
    store = surgery.store
    recipes = [resolve(base, "pretrained", store).recipe]
    before = [weights(recipes[0], store)]
    for step in steps:
        after = edited(surgery, recipes[-1], step)
        if after.id != recipes[-1].id:
            recipes.append(after)
            before.append(weights(after, store))
    while len(recipes) > 1:
        last = recipes.pop()
        before.pop()
        reply = surgery.UndoEdit(surgery_pb2.UndoEditRequest(model=last.id))
        assert reply.model.id == recipes[-1].id
        back = get_recipe(store, reply.model.id)
        assert Recipe.from_json(reply.model.recipe_json) == back == recipes[-1]
        assert same(weights(back, store), before[-1])
    with pytest.raises(NothingToUndo):
        surgery.UndoEdit(surgery_pb2.UndoEditRequest(model=recipes[0].id))


a_line = given(base=st.sampled_from(BASES), steps=st.lists(edits, min_size=1, max_size=6))
test_edits_undone_one_by_one_give_every_model_before = examples(8)(
    a_line(every_model_before_is_given_back)
)
test_many_edits_undone_one_by_one_give_every_model_before = pytest.mark.slow(
    examples(100)(a_line(every_model_before_is_given_back))
)


@examples(5)
@given(steps=st.lists(edits, min_size=1, max_size=4))
def test_the_same_edits_in_another_store_give_the_same_model_to_the_bit(
    steps: list[tuple[str, dict[str, object]]],
    surgery: SurgeryServicer,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("other")
    other = SurgeryServicer(Store(str(folder / "store"), f"sqlite:///{folder / 'db.sqlite'}"))
    ends = []
    for service in (surgery, other):
        recipe = resolve(BASES[0], "pretrained", service.store).recipe
        for step in steps:
            recipe = edited(service, recipe, step)
        ends.append((recipe, weights(recipe, service.store)))
    other.store.engine.dispose()
    assert ends[0][0] == ends[1][0]
    assert same(ends[0][1], ends[1][1])
