"""Model names as people write them: accepted if exact or unique, never corrected."""

import pytest

from netgraft.agent.rules.names import ModelNames, catalogue_names


@pytest.fixture(scope="module")
def names() -> ModelNames:
    return catalogue_names()


def test_every_name_of_the_zoo_is_itself(names: ModelNames) -> None:
    wrong = [
        name
        for name in names.known
        if (found := names.match(name, 0)) is None or found.canonical != name
    ]
    # a timm name that torchvision has too needs its prefix, which is part of its listed name
    assert wrong == []


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("ResNet-50", "resnet50"), ("resnet 50", "resnet50"), ("RESNET_50", "resnet50"),
        ("ViT-B/16", "vit_b_16"), ("vit base 16", "vit_b_16"),
        ("EfficientNet B0", "efficientnet_b0"),
        ("Swin-T", "swin_t"), ("swin tiny", "swin_t"), ("Wide ResNet 50", "wide_resnet50_2"),
        ("DeepLabV3 ResNet50", "deeplabv3_resnet50"), ("inception v3", "inception_v3"),
        ("SqueezeNet 1.1", "squeezenet1_1"), ("fcos", "fcos_resnet50_fpn"),
        ("torchvision/resnet50", "resnet50"), ("timm/resnet50", "timm/resnet50"),
        ("timm convnext tiny", "timm/convnext_tiny"), ("convnextv2 tiny", "timm/convnextv2_tiny"),
        ("resnet50@none", "resnet50@none"), ("VGG 16", "vgg16"),
    ],
)  # fmt: skip
def test_a_name_is_known_as_people_write_it(
    names: ModelNames, written: str, canonical: str
) -> None:
    found = names.match(written, 0)
    assert found is not None
    assert (found.canonical, found.end) == (canonical, len(written))


@pytest.mark.parametrize(
    "written", ["resnet500", "restnet50", "resnet-51", "efficientnet b9", "mobilenetv3", "resnet"]
)
def test_a_name_that_is_not_settled_offers_up_to_three(names: ModelNames, written: str) -> None:
    found = names.match(written, 0)
    assert found is not None
    assert found.canonical == ""
    assert 1 <= len(found.options) <= 3
    assert set(found.options) <= names.known


@pytest.mark.parametrize("text", ["vgg 16 epochs", "mobilenet v2 100 classes", "resnet 50 轮"])
def test_a_number_that_counts_something_else_is_no_part_of_the_name(
    names: ModelNames, text: str
) -> None:
    found = names.match(text, 0)
    assert found is not None
    assert text[found.end :].lstrip().startswith(("16", "100", "50"))
