"""The mean of the best weights: only what makes it no worse is taken in."""

import pytest
import torch

from netgraft.tuning.train.soup import Tensors, greedy


def test_a_soup_takes_what_makes_it_no_worse() -> None:
    """The figure is how near the only weight is to 2, and settling adds nothing here."""

    def measure(tensors: Tensors) -> tuple[Tensors, float]:
        return tensors, -abs(float(tensors["w"]) - 2)

    cups = [{"w": torch.tensor(value), "n": torch.tensor(3)} for value in (1.0, 2.6, 9.0, 2.4)]
    soup = greedy(cups, -1.0, measure, lambda new, old: new >= old)
    assert soup.ingredients == 3
    assert float(soup.tensors["w"]) == pytest.approx(2.0)
    assert soup.tensors["n"].dtype == torch.int64
    alone = greedy(cups[:1], -1.0, measure, lambda new, old: new >= old)
    assert (alone.ingredients, alone.tensors) == (1, cups[0])
