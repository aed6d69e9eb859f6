"""How torch starts a layer is seen without drawing, for every layer that surgery can put in."""

import inspect

import pytest
import torch
from torch import nn

from netgraft.models.drawn import DrawnTensor
from netgraft.models.layers.named import layers
from netgraft.surgery.starts import starts

ARGUMENTS = {
    "in_features": 6, "out_features": 5, "in1_features": 3, "in2_features": 4, "in_channels": 4,
    "out_channels": 8, "kernel_size": 3, "num_features": 6, "num_channels": 4, "num_groups": 2,
    "normalized_shape": 6, "embed_dim": 8, "num_heads": 2, "num_embeddings": 9,
    "embedding_dim": 4, "size": 3, "dims": (0, 1), "dim": 1, "unflattened_size": (2, 3),
    "output_size": 2, "padding": 1, "upscale_factor": 2, "downscale_factor": 2, "groups": 2,
    "lambd": 0.5, "threshold": 0.1, "value": 0.2, "norm_type": 2.0, "cutoffs": (2, 4),
    "affine": True, "track_running_stats": True, "elementwise_affine": True, "add_bias_kv": True,
    "padding_idx": 3,
}  # fmt: skip
"""A value for each argument that a layer must be given, or that makes it have more tensors."""


def made(name: str) -> nn.Module:
    """The layer, with arguments that fit."""
    parameters = inspect.signature(layers()[name]).parameters
    given = {key: value for key, value in ARGUMENTS.items() if key in parameters}
    return layers()[name](**given)


def with_tensors() -> list[str]:
    return [name for name in layers() if made(name).state_dict()]


def spread(start: DrawnTensor) -> float:
    """The deviation of what would be drawn."""
    return start.value / 3**0.5 if start.init == "uniform" else 0.0


def test_most_layers_have_none() -> None:
    assert 20 < len(with_tensors()) < len(layers()) / 2


@pytest.mark.parametrize("name", with_tensors())
def test_every_tensor_of_a_layer_starts_as_torch_would_draw_it(name: str) -> None:
    torch.manual_seed(0)
    many = [made(name).state_dict() for _ in range(200)]
    found = {start.name: start for start in starts(lambda: made(name))}
    assert found.keys() == many[0].keys()
    for key, start in found.items():
        values = torch.stack([state[key].double() for state in many])
        assert (start.shape, start.dtype) == (
            tuple(many[0][key].shape),
            str(many[0][key].dtype).removeprefix("torch."),
        )
        for row in start.zero_rows:
            assert not values[:, row].any()
        drawn = values[:, max(start.zero_rows, default=-1) + 1 :] if start.zero_rows else values
        wanted = start.value if start.init == "constant" else 0.0
        if start.init == "constant":
            assert torch.allclose(drawn, torch.full_like(drawn, wanted))
        else:
            assert float(drawn.std()) == pytest.approx(spread(start), rel=0.1)
            assert abs(float(drawn.mean())) < 0.1 * start.value


def test_a_layer_that_starts_in_another_way_is_refused() -> None:
    class Odd(nn.Linear):
        def reset_parameters(self) -> None:
            nn.init.trunc_normal_(self.weight, std=0.02)
            nn.init.zeros_(self.bias)

    with pytest.raises(ValueError, match="how torch starts weight is not known"):
        starts(lambda: Odd(3, 4))
