"""Heads of real models, as their libraries' authors placed them, and their replacement.

The table is what a person reads in the libraries' code; the product has no such table.
Everything runs on meta tensors. `tests/bench/coverage_heads.py` covers every name.
"""

from dataclasses import dataclass

import pytest

from netgraft.anatomy.anatomy import Anatomies
from netgraft.errors import SurgeryFailed
from netgraft.models.edits.retarget import Retarget
from netgraft.models.recipe import Recipe
from netgraft.models.resolve import resolve
from netgraft.surgery.retarget import retarget

CLASSES = 7


@dataclass(frozen=True)
class Known:
    """A head: path, in_features, out_features now, out_features for 7 classes."""

    path: str
    into: int
    before: int
    after: int = CLASSES


ONE_HEAD = {
    "alexnet": ("classifier.6", 4096, 1000),
    "convnext_tiny": ("classifier.2", 768, 1000),
    "densenet121": ("classifier", 1024, 1000),
    "efficientnet_b0": ("classifier.1", 1280, 1000),
    "googlenet": ("fc", 1024, 1000),
    "mobilenet_v2": ("classifier.1", 1280, 1000),
    "regnet_y_400mf": ("fc", 440, 1000),
    "resnet50": ("fc", 2048, 1000),
    "shufflenet_v2_x0_5": ("fc", 1024, 1000),
    "squeezenet1_1": ("classifier.1", 512, 1000),
    "swin_t": ("head", 768, 1000),
    "vgg11": ("classifier.6", 4096, 1000),
    "vit_b_16": ("heads.head", 768, 1000),
    "quantized_resnet18": ("fc", 512, 1000),
    "mvit_v1_b": ("head.1", 768, 400),
    "r3d_18": ("fc", 512, 400),
    "s3d": ("classifier.1", 1024, 400),
    "timm/test_vit": ("head", 64, 1000),
    "timm/beit_base_patch16_224": ("head", 768, 1000),
    "timm/convnextv2_atto": ("head.fc", 320, 1000),
    "timm/efficientvit_b0": ("head.classifier.4", 1280, 1000),
    "timm/ghostnet_100": ("classifier", 1280, 1000),
    "timm/hrnet_w18_small": ("classifier", 2048, 1000),
    "timm/inception_v4": ("last_linear", 1536, 1000),
    "timm/mixer_s32_224": ("head", 512, 1000),
    "timm/mobilenetv4_conv_small": ("classifier", 1280, 1000),
    "timm/nfnet_f0": ("head.fc", 3072, 1000),
    "timm/rexnet_100": ("head.fc", 1280, 1000),
    "timm/swin_tiny_patch4_window7_224": ("head.fc", 768, 1000),
    "timm/vgg11": ("head.fc", 4096, 1000),
    "timm/vit_base_patch16_clip_224": ("head", 768, 1000),
}

SEVERAL_HEADS = {
    "inception_v3": [Known("fc", 2048, 1000), Known("AuxLogits.fc", 768, 1000)],
    "fcn_resnet50": [Known("classifier.4", 512, 21), Known("aux_classifier.4", 256, 21)],
    "deeplabv3_resnet50": [Known("classifier.4", 256, 21), Known("aux_classifier.4", 256, 21)],
    "lraspp_mobilenet_v3_large": [
        Known("classifier.low_classifier", 40, 21),
        Known("classifier.high_classifier", 128, 21),
    ],
    "fasterrcnn_mobilenet_v3_large_320_fpn": [
        Known("roi_heads.box_predictor.bbox_pred", 1024, 4 * 91, 4 * 8),
        Known("roi_heads.box_predictor.cls_score", 1024, 91, 8),
    ],
    "maskrcnn_resnet50_fpn": [
        Known("roi_heads.box_predictor.bbox_pred", 1024, 4 * 91, 4 * 8),
        Known("roi_heads.box_predictor.cls_score", 1024, 91, 8),
        Known("roi_heads.mask_predictor.mask_fcn_logits", 256, 91, 8),
    ],
    "keypointrcnn_resnet50_fpn": [
        Known("roi_heads.box_predictor.bbox_pred", 1024, 4 * 2, 4 * 8),
        Known("roi_heads.box_predictor.cls_score", 1024, 2, 8),
    ],
    "retinanet_resnet50_fpn": [
        Known("head.classification_head.cls_logits", 256, 9 * 91, 9 * 8),
    ],
    "fcos_resnet50_fpn": [Known("head.classification_head.cls_logits", 256, 91, 8)],
    "ssdlite320_mobilenet_v3_large": [
        Known(f"head.classification_head.module_list.{i}.1", width, 6 * 91, 6 * 8)
        for i, width in enumerate((672, 480, 512, 256, 256, 128))
    ],
    "timm/deit_tiny_distilled_patch16_224": [
        Known("head", 192, 1000),
        Known("head_dist", 192, 1000),
    ],
    "timm/levit_128s": [Known("head.linear", 384, 1000), Known("head_dist.linear", 384, 1000)],
}

SAMPLE = {name: [Known(*known)] for name, known in ONE_HEAD.items()} | SEVERAL_HEADS


def recipe_of(name: str, anatomies: Anatomies) -> Recipe:
    return resolve(name, "pretrained", anatomies.store).recipe


def edit_of(recipe: Recipe) -> Retarget:
    edit = recipe.edits[-1]
    assert isinstance(edit, Retarget)
    return edit


@pytest.mark.parametrize("name", SAMPLE)
def test_heads_are_where_the_library_put_them_and_are_replaced(
    name: str, anatomies: Anatomies
) -> None:
    edit = edit_of(retarget(recipe_of(name, anatomies), CLASSES, (), anatomies).recipe)
    assert [Known(h.path, h.in_features, h.before, h.after) for h in edit.heads] == SAMPLE[name]


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
