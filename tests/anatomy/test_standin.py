"""Operators whose result depends on data, on tensors without data."""

import pytest
import torch
from torchvision.ops import nms

from netgraft.anatomy.standin import StandIn

scores = torch.zeros(6, device="meta")


def test_filters_keep_everything() -> None:
    boxes = torch.zeros(6, 4, device="meta")
    with StandIn():
        keep = torch.where(scores > 0.5)[0]
        assert boxes[keep].shape == (6, 4)
        assert boxes[scores > 0.5].shape == (6, 4)
        assert nms(boxes, scores, 0.5).shape == (6,)
        assert len(torch.unique(scores)) == 1


def test_overlaps_are_kept_as_many_as_asked_for() -> None:
    with StandIn(keep=2):
        assert nms(torch.zeros(6, 4, device="meta"), scores, 0.5).shape == (2,)


def test_a_guard_against_bad_input_never_fires() -> None:
    with StandIn():
        assert not (scores < 0).any()
        assert int(scores[0]) == 1


def test_real_tensors_get_real_answers() -> None:
    with StandIn():
        assert torch.tensor([0.0, 3.0, 0.0]).nonzero().tolist() == [[1]]
        assert torch.tensor(7).item() == 7


def test_without_it_meta_tensors_refuse() -> None:
    with pytest.raises(RuntimeError):
        scores.nonzero()


@pytest.mark.parametrize(
    "operator",
    [
        lambda x: torch.nn.functional.batch_norm(x, torch.zeros(4), torch.ones(4)),
        lambda x: torch.nn.functional.layer_norm(x, (6,)),
        torch.nn.functional.gelu,
        lambda x: torch.nn.functional.interpolate(x, (9, 5), mode="bilinear"),
        lambda x: torch.nn.functional.interpolate(x, (9, 5), mode="bicubic"),
        lambda x: x + x,
        lambda x: x - x.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2),
        lambda x: x * 2,
        lambda x: torch.nn.functional.linear(x, torch.zeros(8, 6, device=x.device)),
    ],
)
@pytest.mark.parametrize("channels_last", [False, True])
def test_shortcuts_agree_with_real_tensors_in_shape_and_layout(operator, channels_last) -> None:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    real = torch.zeros(2, 4, 5, 6).to(memory_format=layout)
    expected = operator(real)
    with StandIn(), torch.device("meta"):
        answer = operator(real.to("meta"))
    assert (answer.shape, answer.stride()) == (expected.shape, expected.stride())


def test_a_layer_that_does_not_fit_its_input_still_fails() -> None:
    with StandIn(), pytest.raises(RuntimeError):
        torch.nn.Linear(4, 2, device="meta")(torch.zeros(3, 5, device="meta"))
