"""Finding heads, on modules small enough to read."""

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netgraft.anatomy.heads import trace
from netgraft.anatomy.roles import Head

X_NCHW = torch.zeros(2, 3, 16, 16, device="meta")


def stem(width: int = 8) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())


class Net(nn.Module):
    """A stem, and whatever `ahead` makes of its features."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        self.stem = stem()
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x: Tensor) -> Any:
        return self.ahead(self.stem(x))

    def ahead(self, f_NCHW: Tensor) -> Any:
        return self.fc(f_NCHW.mean((2, 3)))


def found(net: nn.Module) -> list[tuple[str, int, int, int, str]]:
    seen = trace(net.to("meta"), (X_NCHW,))
    return [(h.path, h.in_features, h.out_features, h.classes, h.role) for h in seen.heads]


def test_a_linear_layer_behind_pooling_is_the_head() -> None:
    net = Net(fc=nn.Linear(8, 5))
    assert trace(net.to("meta"), (X_NCHW,)).heads == (Head("fc", "Linear", 8, 5, 5, "main"),)


def test_a_hidden_layer_before_the_head_is_not_a_head() -> None:
    net = Net(fc=nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 5)))
    assert found(net) == [("fc.3", 6, 5, 5, "main")]


def test_a_convolution_with_relu_and_pooling_behind_it_is_a_head() -> None:
    class Squeezed(Net):
        def ahead(self, f_NCHW: Tensor) -> Tensor:
            return self.fc(f_NCHW).relu().mean((2, 3))

    assert found(Squeezed(fc=nn.Conv2d(8, 5, 1, groups=1))) == [("fc", 8, 5, 5, "main")]


def test_both_heads_of_an_average_are_found() -> None:
    class Distilled(Net):
        def ahead(self, f_NCHW: Tensor) -> Tensor:
            pooled = f_NCHW.mean((2, 3))
            return (self.fc(pooled) + self.fc_dist(pooled)) / 2

    net = Distilled(fc=nn.Linear(8, 5), fc_dist=nn.Linear(8, 5))
    assert [path for path, *_ in found(net)] == ["fc", "fc_dist"]


def test_a_learnt_temperature_does_not_hide_the_head() -> None:
    class Scaled(Net):
        def __init__(self) -> None:
            super().__init__(fc=nn.Linear(8, 5))
            self.temperature = nn.Parameter(torch.ones(()))

        def ahead(self, f_NCHW: Tensor) -> Tensor:
            return super().ahead(f_NCHW) * self.temperature

    assert found(Scaled()) == [("fc", 8, 5, 5, "main")]


def test_tokens_classified_one_by_one_and_then_averaged_have_one_head() -> None:
    class Tokens(Net):
        def ahead(self, f_NCHW: Tensor) -> Tensor:
            return self.fc(f_NCHW.flatten(2).transpose(1, 2)).mean(1).softmax(-1)

    assert found(Tokens(fc=nn.Linear(8, 5, bias=False))) == [("fc", 8, 5, 5, "main")]


def test_a_head_that_only_training_uses_is_auxiliary() -> None:
    class Aided(Net):
        def ahead(self, f_NCHW: Tensor) -> Any:
            pooled = f_NCHW.mean((2, 3))
            return (self.fc(pooled), self.extra(pooled)) if self.training else self.fc(pooled)

    net = Aided(fc=nn.Linear(8, 5), extra=nn.Linear(8, 5))
    assert found(net) == [("fc", 8, 5, 5, "main"), ("extra", 8, 5, 5, "auxiliary")]


def test_an_output_called_aux_has_an_auxiliary_head() -> None:
    class Masks(Net):
        def ahead(self, f_NCHW: Tensor) -> Any:
            size = {"size": (16, 16), "mode": "bilinear"}
            main = nn.functional.interpolate(self.fc(f_NCHW), **size)
            return OrderedDict(out=main, aux=self.aux(f_NCHW))

    net = Masks(fc=nn.Conv2d(8, 5, 1), aux=nn.Conv2d(8, 5, 1))
    assert found(net) == [("fc", 8, 5, 5, "main"), ("aux", 8, 5, 5, "auxiliary")]


def test_a_second_output_of_another_size_has_no_classes() -> None:
    class Located(Net):
        def ahead(self, f_NCHW: Tensor) -> Any:
            pooled = f_NCHW.mean((2, 3))
            return self.fc(pooled), self.box(pooled)

    net = Located(fc=nn.Linear(8, 5), box=nn.Linear(8, 4))
    assert found(net) == [("fc", 8, 5, 5, "main"), ("box", 8, 4, 0, "other")]


def test_normalised_features_have_no_head() -> None:
    class Headless(Net):
        def ahead(self, f_NCHW: Tensor) -> Tensor:
            return self.norm(f_NCHW.mean((2, 3)))

    assert found(Headless(norm=nn.LayerNorm(8))) == []


def test_a_scaled_branch_of_a_residual_block_is_no_head() -> None:
    class Residual(Net):
        def __init__(self) -> None:
            super().__init__(mlp=nn.Linear(8, 8))
            self.gamma = nn.Parameter(torch.ones(8))

        def ahead(self, f_NCHW: Tensor) -> Tensor:
            pooled = f_NCHW.mean((2, 3))
            return pooled + self.gamma * self.mlp(pooled)

    assert found(Residual()) == []


def test_projected_tokens_are_features_and_no_classes() -> None:
    class Encoder(Net):
        def ahead(self, f_NCHW: Tensor) -> Tensor:
            return self.proj(f_NCHW.flatten(2).transpose(1, 2))

    assert found(Encoder(proj=nn.Linear(8, 5))) == []


def test_a_residual_stream_without_a_norm_behind_it_has_no_head() -> None:
    class Stream(Net):
        def ahead(self, f_NCHW: Tensor) -> Tensor:
            x = self.into(f_NCHW.mean((2, 3)))
            return x + self.mlp(x)

    mlp = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8))
    assert found(Stream(into=nn.Linear(8, 8), mlp=mlp)) == []


def test_a_head_with_a_normalised_weight_is_found() -> None:
    class Cosine(Net):
        def ahead(self, f_NCHW: Tensor) -> Tensor:
            pooled = nn.functional.normalize(f_NCHW.mean((2, 3)))
            return pooled @ nn.functional.normalize(self.fc.weight).T

    assert found(Cosine(fc=nn.Linear(8, 5))) == [("fc", 8, 5, 5, "main")]


def test_attention_without_weights_is_passed_by() -> None:
    class Mixed(Net):
        def ahead(self, f_NCHW: Tensor) -> Tensor:
            tokens = f_NCHW.flatten(2).transpose(1, 2)
            return torch.bmm(tokens, tokens.transpose(1, 2)).mean(1)

    assert found(Mixed()) == []


def test_a_frozen_head_is_found_too() -> None:
    net = Net(fc=nn.Linear(8, 5)).requires_grad_(False)
    assert found(net) == [("fc", 8, 5, 5, "main")]


def test_tracing_leaves_mode_parameters_buffers_and_random_state_alone() -> None:
    class Noisy(Net):
        def ahead(self, f_NCHW: Tensor) -> Any:
            torch.rand(3)
            return super().ahead(f_NCHW)

    net = Noisy(fc=nn.Linear(8, 5), unused=nn.Linear(2, 2)).to("meta").train()
    before = dict(net.named_parameters()) | dict(net.named_buffers())
    torch.manual_seed(3)
    state = torch.get_rng_state()
    trace(net, (X_NCHW,))
    after = dict(net.named_parameters()) | dict(net.named_buffers())
    assert net.training
    assert all(before[name] is after[name] for name in before)
    assert all(p.grad_fn is None for p in net.parameters())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_module_does_not_change_what_is_found(training: bool) -> None:
    assert found(Net(fc=nn.Linear(8, 5)).train(training)) == [("fc", 8, 5, 5, "main")]
