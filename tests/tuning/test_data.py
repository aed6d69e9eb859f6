"""Data sets: their contents, and what is refused before training starts."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from netgraft.errors import DataNotFound, InvalidData, OutsideDataRoots
from netgraft.settings import settings
from netgraft.tuning.data import kinds, open_data
from netgraft.tuning.data.kinds.parts import made_parts
from netgraft.tuning.data.manifest import Options
from netgraft.tuning.data.pixels import PictureExamples
from netgraft.tuning.data.reading import check_pictures
from netgraft.tuning.data.refusals import must_train
from netgraft.tuning.data.split import held_out


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root, and beside it a folder outside of it."""
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(root))
    settings.cache_clear()
    yield root
    monkeypatch.undo()
    settings.cache_clear()


def paint(path: Path, colour: tuple[int, int, int] = (200, 10, 10), size=(40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 60).convert("RGB").save(path)
    picture = Image.open(path).convert("RGB")
    Image.blend(picture, Image.new("RGB", size, colour), 0.5).save(path)


def folder_of(root: Path, classes: dict[str, int], ending: str = "jpg") -> Path:
    for name, count in classes.items():
        for index in range(count):
            paint(root / name / f"{index}.{ending}")
    return root


def test_digits_are_real_and_a_stratified_fifth_is_held_out() -> None:
    digits = open_data("digits")
    assert digits.size("train") + digits.size("held_out") == 1797
    examples = PictureExamples(digits, "held_out", 32)
    labels = [examples.get(index)[1] for index in range(len(examples))]
    counts = torch.bincount(torch.tensor(labels), minlength=10)
    assert len(examples) in range(355, 365)
    assert counts.min() >= 34
    assert counts.max() <= 37


def test_digits_are_those_of_the_library() -> None:
    from sklearn.datasets import load_digits

    library = load_digits()
    parts = [PictureExamples(open_data("digits"), part, 8) for part in ("train", "held_out")]
    ours = [part.get(i) for part in parts for i in range(len(part))]
    pixels = sorted(
        (label, *(x[0] / 255 * 16).round().int().flatten().tolist()) for x, label in ours
    )
    rows = zip(library.target.tolist(), library.data.astype(int).tolist(), strict=True)
    assert pixels == sorted((label, *row) for label, row in rows)


def test_digits_are_uint8_squares_of_three_equal_channels() -> None:
    x_CHW, label = PictureExamples(open_data("digits"), "train", 48).get(0)
    assert x_CHW.shape == (3, 48, 48)
    assert x_CHW.dtype == torch.uint8
    assert x_CHW.max() > 200
    assert torch.equal(x_CHW[0], x_CHW[2])
    assert 0 <= label <= 9


def test_no_digit_is_on_both_sides() -> None:
    names, labels = [str(i) for i in range(100)], [i % 7 for i in range(100)]
    parts = made_parts(names, labels, Options())
    assert set(parts) == {"train", "held_out"}
    chosen = held_out(names, labels)
    assert [index in chosen for index in range(100)] == [part == "held_out" for part in parts]


def test_what_is_held_out_stays_when_pictures_are_added() -> None:
    names = [f"{i}.jpg" for i in range(50)]
    before = {names[i] for i in held_out(names, [0] * 50)}
    more = [*names, *(f"new{i}.jpg" for i in range(50))]
    after = {more[i] for i in held_out(more, [0] * 100)}
    assert len(before & after) >= 3
    assert held_out(names, [0] * 50) == held_out(names, [0] * 50)


def test_a_folder_gives_its_class_names_in_alphabetical_order(root: Path) -> None:
    folder_of(root / "pets", {"dog": 5, "cat": 5, "ant": 5})
    pets = open_data("pets")
    assert pets.class_names == ("ant", "cat", "dog")
    assert (pets.size("train"), pets.size("held_out")) == (12, 3)
    check_pictures(pets)


def test_train_and_val_are_taken_as_they_are(root: Path) -> None:
    folder_of(root / "pets" / "train", {"cat": 4, "dog": 4})
    folder_of(root / "pets" / "val", {"cat": 2, "dog": 3})
    pets = open_data("pets")
    assert (pets.size("train"), pets.size("held_out")) == (8, 5)


def test_a_val_class_that_train_lacks_is_refused(root: Path) -> None:
    folder_of(root / "pets" / "train", {"cat": 4, "dog": 4})
    folder_of(root / "pets" / "val", {"cat": 2, "cow": 3})
    with pytest.raises(InvalidData, match="cow"):
        must_train(open_data("pets"))


def test_any_spelling_of_a_folder_means_the_same(root: Path) -> None:
    folder_of(root / "pets", {"cat": 2, "dog": 2})
    spellings = ["pets", "./pets", "pets/../pets", str(root / "pets")]
    assert {open_data(text).reference for text in spellings} == {str(root / "pets")}


def test_a_picture_is_cut_to_the_side_and_seeds_repeat(root: Path) -> None:
    folder_of(root / "pets", {"cat": 3, "dog": 3})
    train = PictureExamples(open_data("pets"), "train", 24)
    plain, label = train.get(0)
    assert plain.shape == (3, 24, 24)
    assert label == 0
    assert torch.equal(train.get(0, seed=5)[0], train.get(0, seed=5)[0])
    assert not torch.equal(train.get(0, seed=5)[0], train.get(0, seed=6)[0])
    assert torch.equal(train.get(0)[0], plain)


@pytest.mark.parametrize(
    "mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "I;16"], ids=lambda m: m.replace(";", "-")
)
def test_every_kind_of_pixel_becomes_three_channels(root: Path, mode: str) -> None:
    ending = "jpg" if mode == "CMYK" else "png"
    for name in ("a", "b"):
        for index in range(2):
            (root / "x" / name).mkdir(parents=True, exist_ok=True)
            Image.new(mode, (20, 20)).save(root / "x" / name / f"{index}.{ending}")
    data = open_data("x")
    check_pictures(data)
    assert PictureExamples(data, "train", 16).get(0)[0].shape == (3, 16, 16)


def test_a_missing_folder_is_reported_with_where_to_look(root: Path) -> None:
    with pytest.raises(DataNotFound, match="root"):
        open_data("./nothing")


@pytest.mark.parametrize("reference", ["../outside", "/etc", "~", "pets/../../outside", "/"])
def test_nothing_outside_the_roots_is_read(root: Path, reference: str) -> None:
    folder_of(root.parent / "outside", {"cat": 2, "dog": 2})
    with pytest.raises(OutsideDataRoots):
        open_data(reference)


def test_what_lies_outside_is_refused_whether_it_exists_or_not(root: Path) -> None:
    with pytest.raises(OutsideDataRoots):
        open_data("../surely-not-here")


def test_a_link_to_a_folder_outside_is_refused(root: Path) -> None:
    folder_of(root.parent / "outside", {"cat": 2, "dog": 2})
    (root / "link").symlink_to(root.parent / "outside")
    with pytest.raises(OutsideDataRoots):
        open_data("link")


def test_a_class_or_picture_that_links_outside_is_refused(root: Path) -> None:
    folder_of(root.parent / "outside", {"cat": 2, "dog": 2})
    folder_of(root / "pets", {"cat": 2})
    (root / "pets" / "dog").symlink_to(root.parent / "outside" / "dog")
    with pytest.raises(OutsideDataRoots):
        open_data("pets")
    (root / "pets" / "dog").unlink()
    folder_of(root / "pets", {"dog": 2})
    (root / "pets" / "dog" / "secret.jpg").symlink_to(root.parent / "outside" / "dog" / "0.jpg")
    with pytest.raises(OutsideDataRoots):
        open_data("pets")


@pytest.mark.parametrize("reference", ["a\0b", "x" * 5000, ""])
def test_odd_references_are_answered_by_a_sentence(root: Path, reference: str) -> None:
    with pytest.raises((DataNotFound, InvalidData)):
        open_data(reference)


def test_a_loop_of_links_is_not_found(root: Path) -> None:
    (root / "a").symlink_to(root / "b")
    (root / "b").symlink_to(root / "a")
    with pytest.raises(DataNotFound):
        open_data("a")


def test_an_empty_folder_is_refused(root: Path) -> None:
    (root / "empty").mkdir()
    with pytest.raises(InvalidData, match="empty"):
        open_data("empty")


def test_pictures_without_a_class_are_refused(root: Path) -> None:
    folder_of(root, {"loose": 3})
    with pytest.raises(InvalidData, match="in no class"):
        open_data("loose")


def test_one_class_only_is_refused_by_its_name(root: Path) -> None:
    folder_of(root / "pets", {"cat": 3})
    with pytest.raises(InvalidData, match="cat"):
        must_train(open_data("pets"))


def test_a_class_without_pictures_is_refused_by_its_name(root: Path) -> None:
    folder_of(root / "pets", {"cat": 3, "dog": 3})
    (root / "pets" / "emu").mkdir()
    (root / "pets" / "emu" / "notes.txt").write_text("none yet")
    with pytest.raises(InvalidData, match="'emu'"):
        must_train(open_data("pets"))


def test_a_file_is_not_a_data_set(root: Path) -> None:
    (root / "x.zip").write_bytes(b"PK")
    with pytest.raises(InvalidData, match="is a file"):
        open_data("x.zip")


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "gif"])
def test_a_picture_that_was_cut_short_is_named(root: Path, ending: str) -> None:
    folder_of(root / "pets", {"cat": 3, "dog": 3}, ending)
    victim = root / "pets" / "dog" / f"1.{ending}"
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size * 2 // 3])
    with pytest.raises(InvalidData, match=f"dog/1.{ending}"):
        check_pictures(open_data("pets"))


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\xff\xd8\xff"])
def test_a_file_that_only_claims_to_be_a_picture_is_named(root: Path, content: bytes) -> None:
    folder_of(root / "pets", {"cat": 3, "dog": 3})
    (root / "pets" / "cat" / "2.jpg").write_bytes(content)
    with pytest.raises(InvalidData, match=r"cat/2\.jpg"):
        check_pictures(open_data("pets"))


def test_a_picture_that_is_damaged_after_a_check_is_found_by_the_next(root: Path) -> None:
    folder_of(root / "pets", {"cat": 3, "dog": 3})
    check_pictures(open_data("pets"))
    (root / "pets" / "cat" / "0.jpg").write_bytes(b"gone bad")
    with pytest.raises(InvalidData, match=r"cat/0\.jpg"):
        check_pictures(open_data("pets"))


def test_a_picture_that_vanishes_while_training_is_named(root: Path) -> None:
    folder_of(root / "pets", {"cat": 3, "dog": 3})
    examples = PictureExamples(open_data("pets"), "train", 16)
    for path in (root / "pets" / "cat").iterdir():
        path.unlink()
    with pytest.raises(InvalidData, match="is gone"):
        examples.get(0)


def test_a_kind_from_outside_the_package_is_found_without_a_list(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataNotFound):
        open_data("stripes")
    toys = Path(__file__).with_name("toy_kinds")
    monkeypatch.setattr(kinds, "__path__", [*kinds.__path__, str(toys)])
    data = open_data("stripes")
    assert data.class_names == ("lying", "standing")
    assert len(PictureExamples(data, "train", 8)) == 2
    assert {"stripes", "digits"} < {kind.name for kind in kinds.every_kind()}
    assert [kind.name for kind in kinds.every_kind()][-1] == "folder", "it takes everything"
    assert open_data("digits").class_names == tuple("0123456789")
