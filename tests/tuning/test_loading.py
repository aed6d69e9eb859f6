"""Batches: every example is used, workers get equal shares, seeds repeat."""

import threading

import pytest
import torch
from torch import Tensor

from netgraft.errors import InvalidData
from netgraft.tuning.data.loading import Normaliser, epoch_order, load, measured_order
from netgraft.tuning.tasks.classification import TASK


class Numbers:
    """Examples that are their own index."""

    def __init__(self, fails_at: int = -1) -> None:
        self.fails_at = fails_at
        self.asked: list[tuple[int, int | None]] = []

    def __len__(self) -> int:
        return 100

    def get(self, index: int, seed: int | None = None) -> tuple[Tensor, int]:
        if index == self.fails_at:
            raise InvalidData(data="numbers", problem=f"{index} is damaged.")
        self.asked.append((index, seed))
        return torch.full((3, 2, 2), index, dtype=torch.uint8), index % 10


def collate(examples: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    """x_NCHW and labels_N."""
    return torch.stack([x for x, _ in examples]), torch.tensor([label for _, label in examples])


def test_workers_share_each_batch_without_overlap() -> None:
    ranks = [epoch_order(100, 20, epoch=0, seed=0, rank=r, workers=4) for r in range(4)]
    for batch in zip(*ranks, strict=True):
        assert [len(part) for part in batch] == [5, 5, 5, 5]
    seen = [index for order in ranks for part in order for index in part]
    assert sorted(seen) == list(range(100))


def test_the_order_differs_by_epoch_and_seed_and_repeats() -> None:
    def order(epoch: int, seed: int) -> list[list[int]]:
        return epoch_order(100, 10, epoch=epoch, seed=seed)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(1, 0)
    assert order(0, 0) != order(0, 1)


def test_rare_classes_can_come_as_often_as_others_on_every_worker_alike() -> None:
    labels = [0] * 80 + [1] * 15 + [2] * 5
    ranks = [
        epoch_order(100, 20, epoch=1, seed=0, rank=rank, workers=2, labels=labels)
        for rank in range(2)
    ]
    seen = [index for order in ranks for part in order for index in part]
    assert len(seen) == 100
    counts = [sum(labels[index] == label for index in seen) for label in range(3)]
    assert all(32 <= count <= 34 for count in counts)
    assert len({index for index in seen if labels[index] == 2}) == 5
    assert len({index for index in seen if labels[index] == 0}) == counts[0], "no repeats there"


def test_what_does_not_fill_a_batch_waits_for_another_epoch() -> None:
    order = epoch_order(103, 10, epoch=0, seed=0)
    assert [len(batch) for batch in order] == [10] * 10


def test_measuring_sees_every_example_once_over_all_workers() -> None:
    parts = [measured_order(101, 7, rank, 3) for rank in range(3)]
    seen = [index for part in parts for batch in part for index in batch]
    assert sorted(seen) == list(range(101))


def test_batches_come_in_the_order_asked_for() -> None:
    order = [[3, 1], [2, 9], [7, 8], [4, 4], [0, 5], [6, 6]]
    made = list(load(Numbers(), order, collate, seed=None, threads=3))
    assert [x_NCHW[:, 0, 0, 0].tolist() for x_NCHW, _ in made] == order
    assert made[0][1].tolist() == [3, 1]


def test_a_seed_varies_each_picture_by_its_own() -> None:
    examples = Numbers()
    list(load(examples, [[1, 2], [3, 4]], collate, seed=7))
    seeds = [seed for _, seed in examples.asked]
    assert len(set(seeds)) == 4
    again = Numbers()
    list(load(again, [[1, 2], [3, 4]], collate, seed=7))
    assert sorted(again.asked) == sorted(examples.asked)


def test_a_damaged_picture_stops_the_loading_and_leaves_no_thread() -> None:
    order = [[index] for index in range(100)]
    with pytest.raises(InvalidData, match="damaged"):
        list(load(Numbers(fails_at=50), order, collate, seed=None, threads=2))
    assert not [t for t in threading.enumerate() if t.name.startswith("load")]


def test_pixels_become_numbers_around_zero() -> None:
    normalise = Normaliser((0.5, 0.5, 0.0), (0.5, 0.25, 1.0), torch.device("cpu"))
    x_NCHW = torch.tensor([0, 255, 51], dtype=torch.uint8)[None, :, None, None]
    expected = torch.tensor([-1.0, 2.0, 0.2])
    torch.testing.assert_close(normalise.normalised(x_NCHW).flatten(), expected)


def test_a_batch_lies_as_pictures_do_and_its_numbers_are_the_same_in_any_layout() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (4, 5, 7, 3), dtype=torch.uint8, generator=generator)
    x_NCHW, labels_N = TASK.collate([(x_HWC.permute(2, 0, 1), 1) for x_HWC in pictures])
    assert x_NCHW.is_contiguous(memory_format=torch.channels_last)
    assert labels_N.tolist() == [1] * 4
    normaliser = Normaliser((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), torch.device("cpu"))
    last = normaliser.normalised(x_NCHW)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, normaliser.normalised(x_NCHW.contiguous()))
