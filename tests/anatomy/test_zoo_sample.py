"""Heads of real models that are unlike others: appended, patched, auxiliary, or no heads at all.

Everything runs on meta tensors. `tests/contract` has the heads of the zoo.
"""

import pytest

from netgraft.anatomy.anatomy import Anatomies
from netgraft.errors import SurgeryFailed
from netgraft.models.edits.retarget import Retarget
from netgraft.models.recipe import Recipe
from netgraft.models.resolve import resolve
from netgraft.surgery.retarget import retarget

CLASSES = 7


def recipe_of(name: str, anatomies: Anatomies) -> Recipe:
    return resolve(name, "pretrained", anatomies.store).recipe


def edit_of(recipe: Recipe) -> Retarget:
    edit = recipe.edits[-1]
    assert isinstance(edit, Retarget)
    return edit


@pytest.mark.parametrize(
    ("name", "features"),
    [("timm/vit_small_patch14_dinov2", 384), ("timm/samvit_base_patch16", 256)],
)
def test_a_model_without_a_head_gets_one_behind_its_features(
    name: str, features: int, anatomies: Anatomies
) -> None:
    (head,) = edit_of(retarget(recipe_of(name, anatomies), CLASSES, (), anatomies).recipe).heads
    assert (head.append, head.in_features, head.after) == (True, features, CLASSES)


def patch_of(recipe: Recipe) -> tuple[str, int]:
    """The one count that an edit changes at its owner: where it stands, and its value."""
    (patch,) = edit_of(recipe).patches
    return f"{patch.path}.{patch.attribute}", patch.value


def test_a_class_count_that_its_owner_keeps_is_patched(anatomies: Anatomies) -> None:
    edited = retarget(recipe_of("squeezenet1_0", anatomies), CLASSES, (), anatomies).recipe
    assert patch_of(edited) == (".num_classes", CLASSES)


@pytest.mark.parametrize(
    ("name", "classes", "attribute"),
    [
        ("retinanet_resnet50_fpn", 3, "num_classes"),
        ("fcos_resnet50_fpn", 3, "num_classes"),
        ("ssd300_vgg16", 3, "num_columns"),
        ("ssd300_vgg16", 199, "num_columns"),
    ],
)
def test_a_box_regressor_without_classes_stays_and_its_owners_count_is_patched(
    name: str, classes: int, attribute: str, anatomies: Anatomies
) -> None:
    """3 and a background make 4 = coordinates; 199 makes 200 = boxes that SSD keeps."""
    recipe = recipe_of(name, anatomies)
    boxes = [head for head in anatomies.of(recipe).trace.heads if head.role == "boxes"]
    assert boxes
    assert all(head.classes == 0 for head in boxes)
    once = retarget(recipe, classes, (), anatomies).recipe
    twice = retarget(once, CLASSES, (), anatomies).recipe
    for edited in (once, twice):
        seen = anatomies.of(edited).trace
        assert [head for head in seen.heads if head.role == "boxes"] == boxes
        assert all("boxes" not in head.role for head in edit_of(edited).heads)
    for edited, count in ((once, classes), (twice, CLASSES)):
        assert patch_of(edited) == (f"head.classification_head.{attribute}", count + 1)


def test_googlenet_from_random_weights_has_its_auxiliary_heads_replaced(
    anatomies: Anatomies,
) -> None:
    recipe = resolve("googlenet@none", "pretrained", anatomies.store).recipe
    heads = edit_of(retarget(recipe, CLASSES, (), anatomies).recipe).heads
    assert {(head.path, head.role) for head in heads} == {
        ("fc", "main"),
        ("aux1.fc2", "auxiliary"),
        ("aux2.fc2", "auxiliary"),
    }


def test_optical_flow_has_no_classes_to_replace(anatomies: Anatomies) -> None:
    recipe = recipe_of("raft_small", anatomies)
    assert all(head.classes == 0 for head in anatomies.of(recipe).trace.heads)
    with pytest.raises(SurgeryFailed, match="optical_flow tells no classes apart"):
        retarget(recipe, CLASSES, (), anatomies)
