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


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("retinanet_resnet50_fpn", "head.classification_head.num_classes"),
        ("fcos_resnet50_fpn", "head.classification_head.num_classes"),
        ("ssd300_vgg16", "head.classification_head.num_columns"),
        ("squeezenet1_0", ".num_classes"),
    ],
)
def test_class_counts_that_owners_keep_are_patched(
    name: str, attribute: str, anatomies: Anatomies
) -> None:
    edit = edit_of(retarget(recipe_of(name, anatomies), CLASSES, (), anatomies).recipe)
    (patch,) = edit.patches
    background = 0 if name.startswith("squeeze") else 1
    assert (f"{patch.path}.{patch.attribute}", patch.value) == (attribute, CLASSES + background)


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("retinanet_resnet50_fpn", 3),
        ("fcos_resnet50_fpn", 3),
        ("ssd300_vgg16", 3),
        ("ssd300_vgg16", 199),
    ],
)
def test_a_box_regressor_without_classes_stays_whatever_the_count(
    name: str, classes: int, anatomies: Anatomies
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
    assert [p.attribute for p in edit_of(twice).patches] == [
        p.attribute for p in edit_of(once).patches
    ]


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
