"""Features of a frozen network: in whatever form, they are those of the network as it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from sklearn.datasets import load_digits
from torch import Tensor, nn

from netgraft.tuning.train.features import (
    MOST_ERROR,
    Extractor,
    FrozenForm,
    NotLinear,
    batch_size,
    extractor,
)
from netgraft.tuning.train.folds import stratified
from netgraft.tuning.train.probe import probe

CPU = torch.device("cpu")
FOLDED = FrozenForm("fp32", channels_last=True, folded=True)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # tests run side by side
    torch.manual_seed(0)


def lived_in(module: nn.Module) -> nn.Module:
    """Batch norms as training leaves them: each channel with other statistics."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            for tensor in (layer.running_mean, layer.bias):
                nn.init.normal_(tensor, 0, 0.1)
            for tensor in (layer.running_var, layer.weight):
                nn.init.uniform_(tensor, 0.7, 1.3)
    return module


def norms(module: nn.Module) -> int:
    return sum(isinstance(each, nn.modules.batchnorm._BatchNorm) for each in module.modules())


def error(made: Extractor, module: nn.Module, x_NCHW: Tensor) -> float:
    """Relative difference to the input of the head in the module itself."""
    found: list[Tensor] = []
    head = module.get_submodule(made.head.path)
    hook = head.register_forward_pre_hook(lambda _, given: found.append(given[0].flatten(1)))
    with torch.no_grad():
        module.eval()(x_NCHW)
    hook.remove()
    return float((made(x_NCHW) - found[0]).norm() / found[0].norm())


NETWORKS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "plain norms": (lambda: torchvision.models.mnasnet0_5(num_classes=3), "classifier.1"),
    "norms that activate": (lambda: timm.create_model("test_resnet", num_classes=3), "fc"),
    "padding by itself": (
        lambda: timm.create_model("tf_mobilenetv3_small_minimal_100"), "classifier",
    ),
    "no norms to fold": (lambda: timm.create_model("test_vit", num_classes=3), "head"),
    "norms before layers": (lambda: torchvision.models.DenseNet(4, (2, 2), 8), "classifier"),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_every_form_gives_the_features_of_the_network(name: str) -> None:
    make, head = NETWORKS[name]
    module = lived_in(make()).train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    side = getattr(module, "default_cfg", {}).get("input_size", (3, 64, 64))[1]
    x_NCHW = torch.randn(6, 3, side, side)
    for form in (FOLDED, FrozenForm("bf16", channels_last=True, folded=True)):
        made = extractor(module, head, x_NCHW, device=CPU, form=form)
        assert isinstance(made, Extractor)
        assert (made.form.precision, made.form.channels_last) == (form.precision, True)
        assert made.form.folded == (norms(made.module) < norms(module))
        assert made.form.folded == (name != "no norms to fold")
        features_NF = made(x_NCHW)
        assert features_NF.shape == (6, made.head.features)
        assert not features_NF.is_inference()
        again = extractor(module, head, x_NCHW, device=CPU, form=FrozenForm.parse(str(made.form)))
        assert isinstance(again, Extractor)
        assert torch.equal(features_NF, again(x_NCHW))
    assert module.training
    after = module.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert error(made, module, x_NCHW) < MOST_ERROR["bf16"]


def test_no_norm_is_left_where_each_follows_a_layer() -> None:
    module = lived_in(torchvision.models.mobilenet_v2(num_classes=2))
    x_NCHW = torch.randn(4, 3, 64, 64)
    made = extractor(module, "classifier.1", x_NCHW, device=CPU, form=FOLDED)
    assert isinstance(made, Extractor)
    assert norms(made.module) == 0
    assert error(made, module, x_NCHW) < 1e-4


def test_a_form_is_chosen_once_and_can_be_given_back() -> None:
    module = lived_in(torchvision.models.resnet18())
    x_NCHW = torch.randn(8, 3, 64, 64)
    chosen = extractor(module, "fc", x_NCHW, device=CPU)
    assert isinstance(chosen, Extractor)
    assert chosen.form.channels_last
    assert chosen.form.folded
    again = extractor(module, "fc", x_NCHW, device=CPU, form=chosen.form)
    assert isinstance(again, Extractor)
    assert again.form == chosen.form
    assert torch.equal(chosen(x_NCHW), again(x_NCHW))


@pytest.mark.parametrize(
    "form", [FrozenForm(), FOLDED, FrozenForm("bf16", channels_last=True, autocast=True)]
)
def test_a_form_can_be_written_and_read(form: FrozenForm) -> None:
    assert FrozenForm.parse(str(form)) == form


class Awkward(nn.Module):
    """What the forms must not get wrong, at choice."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = lived_in(nn.BatchNorm2d(8))
        self.mix = nn.Linear(8, 16)
        self.head = nn.Linear(16, 2)

    def forward(self, x_NCHW: Tensor) -> Any:
        made = self.conv(x_NCHW)
        normed = self.norm(made)
        if self.fault == "used twice":
            normed = normed + 3 * made
        features = normed.mean((2, 3))
        if self.fault == "float32 inside":
            features = features.float()
        if self.fault == "too large":
            features = 1e30 * features.sin() / 1e30 + (features + 1e4 - 1e4)
        features = self.mix(features).relu()
        logits = self.head(features)
        return {"relu after": logits.relu(), "pair": (logits, features)}.get(self.fault, logits)


def test_a_layer_whose_output_is_used_elsewhere_is_not_folded() -> None:
    module, x_NCHW = Awkward("used twice").eval(), torch.randn(5, 3, 16, 16)
    made = extractor(module, "head", x_NCHW, device=CPU, form=FOLDED)
    assert isinstance(made, Extractor)
    assert made.form == FrozenForm("fp32", channels_last=True)
    assert error(made, module, x_NCHW) < 1e-5


def test_a_network_that_fails_when_cast_is_cast_call_by_call() -> None:
    module, x_NCHW = Awkward("float32 inside").eval(), torch.randn(5, 3, 16, 16)
    said = FrozenForm("bf16", channels_last=True, folded=True)
    made = extractor(module, "head", x_NCHW, device=CPU, form=said)
    assert isinstance(made, Extractor)
    assert made.form == FrozenForm("bf16", channels_last=True, folded=True, autocast=True)
    assert error(made, module, x_NCHW) < MOST_ERROR["bf16"]


def test_a_network_whose_numbers_bf16_cannot_hold_stays_in_fp32() -> None:
    module, x_NCHW = Awkward("too large").eval(), torch.randn(5, 3, 16, 16)
    said = FrozenForm("bf16", channels_last=True, folded=True)
    made = extractor(module, "head", x_NCHW, device=CPU, form=said)
    assert isinstance(made, Extractor)
    assert made.form == FOLDED


def test_heads_that_no_vector_decides_are_for_gradients() -> None:
    x_NCHW = torch.randn(4, 3, 64, 64)
    behind_it = Awkward("relu after")
    nn.init.zeros_(behind_it.head.weight)  # as a new head may be: then every head looks linear
    nn.init.zeros_(behind_it.head.bias)
    for module, head in (
        (behind_it, "head"),
        (torchvision.models.squeezenet1_1(num_classes=2), "classifier.1"),
        (Awkward(""), "conv"),
        (Awkward(""), "norm"),
    ):
        assert isinstance(extractor(module, head, x_NCHW, device=CPU), NotLinear)


def test_an_answer_is_looked_for_where_the_caller_says() -> None:
    x_NCHW = torch.randn(4, 3, 16, 16)
    made = extractor(Awkward("pair"), "head", x_NCHW, device=CPU, answer=lambda found: found[0])
    assert isinstance(made, Extractor)


def test_batches_hold_more_of_smaller_pictures() -> None:
    assert [batch_size(side) for side in (32, 64, 224, 384, 1024)] == [256, 256, 32, 8, 8]


def test_a_probe_of_mobilenet_tells_digits_apart(
    torch_home_with_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head is written into the network, which then answers as the probe says."""
    monkeypatch.setenv("TORCH_HOME", str(torch_home_with_weights))
    module = torchvision.models.mobilenet_v2(weights="IMAGENET1K_V1").eval()
    module.classifier[1] = nn.Linear(1280, 10)
    found = load_digits()
    shuffled = torch.randperm(500, generator=torch.Generator().manual_seed(0))
    pictures = torch.tensor(found.images).float()[shuffled, None] / 16
    large = nn.functional.interpolate(pictures, size=(64, 64), mode="bilinear")
    x_NCHW = (large.expand(-1, 3, -1, -1) - 0.45) / 0.225
    labels_N = torch.tensor(found.target)[shuffled]
    made = extractor(module, "classifier.1", x_NCHW[:64], device=CPU)
    assert isinstance(made, Extractor)
    features_NF = made(x_NCHW)
    folds_NS = stratified(labels_N[:300].tolist())
    head = probe(features_NF[:300], labels_N[:300], 10, folds_NS, "accuracy")
    made.head.write(module, head.weight, head.bias)
    with torch.no_grad():
        logits_NK = module(x_NCHW[300:])
    assert head.accuracy.value > 0.88
    assert (logits_NK.argmax(1) == labels_N[300:]).float().mean() > 0.83
    expected_NK = features_NF[300:] @ head.weight.T + head.bias
    assert (logits_NK.argmax(1) == expected_NK.argmax(1)).float().mean() > 0.95
