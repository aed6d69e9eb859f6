"""The one pass: every picture read once, its facts and its pixels kept, and remembered."""

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netgraft.errors import InvalidData
from netgraft.store.store import Store
from netgraft.tuning.data import open_data
from netgraft.tuning.data import pixels as pixels_module
from netgraft.tuning.data.manifest import Container
from netgraft.tuning.data.pixels import PictureExamples, Pixels, middle
from netgraft.tuning.data.reading import Reading, check_pictures
from netgraft.tuning.data.remembered import known_facts, remember

from .drawings import drawing, drawn, encoded, manifest, written


class Counting:
    """A container that counts how often each picture is read."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.reads: Counter[str] = Counter()
        self._lock = threading.Lock()

    def read(self, name: str, most: int) -> bytes:
        with self._lock:
            self.reads[name] += 1
        return self.container.read(name, most)

    def stamp(self, name: str) -> tuple[int, int]:
        return self.container.stamp(name)


def test_a_picture_is_read_once_for_facts_pixels_and_examples() -> None:
    made = manifest(drawn(6))
    counting = Counting(made.container)
    made = replace(made, container=counting)
    reading = Reading(made, 32)
    assert list(reading.read())[-1] == 12
    examples = PictureExamples(made, "train", 32, reading.pixels)
    first = [examples.get(index)[0] for index in range(12)]
    assert set(counting.reads.values()) == {1}
    assert len(counting.reads) == 12
    fresh = PictureExamples(made, "train", 32)
    for index, kept in enumerate(first):
        assert (fresh.get(index)[0] == kept).all()
        assert (fresh.get(index, seed=4)[0] == examples.get(index, seed=4)[0]).all()


def test_what_memory_cannot_hold_is_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = manifest(drawn(6))
    counting = Counting(made.container)
    made = replace(made, container=counting)
    one = Pixels(made, 32).get(0)
    pixels = Pixels(made, 32, most_bytes=3 * one.width * one.height * 3)
    for _ in range(2):
        for index in range(12):
            assert pixels.get(index).mode == "RGB"
    assert counting.reads.total() == 1 + 12 + 9, "three are kept"
    assert pixels_module.CACHE_BYTES >= 2**30


def test_a_share_of_the_pictures_can_be_read() -> None:
    made = manifest(drawn(6))
    shares = [Reading(made, indices=range(rank, 12, 2)).finish() for rank in range(2)]
    whole = Reading(made).finish()
    joined = [shares[index % 2].facts[index] for index in range(12)]
    assert joined == whole.facts
    assert [share.sound for share in shares] == [list(range(0, 12, 2)), list(range(1, 12, 2))]


def test_any_number_of_threads_finds_the_same() -> None:
    made = manifest(drawn(8))
    one, many = (Reading(made, threads=threads).finish() for threads in (1, 5))
    assert one.facts == many.facts
    assert one.data_hash == many.data_hash


def test_the_hash_is_of_the_contents_in_order() -> None:
    pictures = drawn(4)
    before = Reading(manifest(pictures)).finish().data_hash
    assert Reading(manifest(drawn(4))).finish().data_hash == before
    pictures["box/0001.jpg"] = encoded(drawing(0, 77))
    assert Reading(manifest(pictures)).finish().data_hash != before


def test_all_pictures_at_fault_are_named_in_one_error() -> None:
    pictures = drawn(6) | {"box/0001.jpg": b"", "disc/0002.jpg": bytes(99)}
    reading = Reading(manifest(pictures)).finish()
    assert len(reading.sound) == 10
    with pytest.raises(InvalidData, match=r"2 pictures .* box/0001\.jpg, disc/0002\.jpg"):
        reading.must_be_sound()
    pictures["disc/0002.jpg"] = encoded(drawing(1, 50))
    with pytest.raises(InvalidData, match=r"box/0001\.jpg is empty"):
        check_pictures(manifest(pictures))


def test_a_second_check_of_unchanged_files_reads_none(root: Path, store: Store) -> None:
    written(root / "shapes", drawn(6))
    first = Reading(open_data("shapes"), keep=False).finish()
    assert known_facts(first.manifest, store) == ()
    remember(first, store)
    again = open_data("shapes")
    counting = Counting(again.container)
    again = replace(again, container=counting)
    second = Reading(again, known=known_facts(again, store)).finish()
    assert second.facts == first.facts
    assert not counting.reads
    (root / "shapes/box/0001.jpg").write_bytes(encoded(drawing(0, 88)))
    assert known_facts(open_data("shapes"), store) == ()


def test_digits_are_pictures_like_any_other() -> None:
    reading = Reading(open_data("digits"), 48).finish()
    assert len(reading.sound) == 1797
    assert np.mean([facts.brightness for facts in reading.facts]) == pytest.approx(0.3, abs=0.1)


def test_the_middle_of_a_picture_is_cut_between_its_pixels() -> None:
    """Cut by interpolating half-way between them, it was blurred, and models erred more often."""
    pixels = np.random.default_rng(0).integers(0, 256, (41, 32, 3), dtype=np.uint8)
    cut = np.asarray(middle(Image.fromarray(pixels), 28, 32))
    assert (cut == pixels[6:34, 2:30]).all()
