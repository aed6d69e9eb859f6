"""Folders of pictures: which level names parts, which one classes, and what is passed over."""

import os
import time
from pathlib import Path

import pytest
from tests.tuning.data.trees import classes_of, numbered, plant, sizes

from netgraft.errors import InvalidData, InvalidValue, OutsideDataRoots
from netgraft.tuning.data import Options, open_data

CAT_AND_DOG = [*numbered("cat", 5), *numbered("dog", 5)]


@pytest.mark.parametrize(
    ("train", "held_out", "test"),
    [
        ("train", "val", "test"),
        ("Training", "Validation", "Testing"),
        ("TRAIN", "valid", "tests"),
        ("train_set", "val-set", "test images"),
        ("train2017", "dev", "test1"),
        ("seg_train", "eval", "seg_test"),
        ("训练集", "验证集", "测试集"),
    ],
)
@pytest.mark.parametrize("above", ["", "dataset/", "deep/dataset/"])
def test_folders_that_are_called_as_parts_are_parts(
    root: Path, train: str, held_out: str, test: str, above: str
) -> None:
    for name in (train, held_out, test):
        plant(root / "pets" / above / name, CAT_AND_DOG)
    plant(root / "pets", ["README.md", "docs/", "docs/guide.pdf"])
    pets = open_data("pets")
    assert pets.class_names == ("cat", "dog")
    assert sizes(pets) == (10, 10, 10)
    assert not pets.made_split


def test_parts_may_be_named_within_each_class(root: Path) -> None:
    for name in ("cat", "dog"):
        plant(root / "pets" / name, [*numbered("train", 4), *numbered("val", 2)])
    pets = open_data("pets")
    assert pets.class_names == ("cat", "dog")
    assert sizes(pets) == (8, 4, 0)


def test_a_parts_folder_may_be_there_twice_and_pictures_without_a_class_beside(root: Path) -> None:
    for part in ("seg_train/seg_train", "seg_test/seg_test"):
        plant(root / "places" / part, CAT_AND_DOG)
    plant(root / "places", numbered("seg_pred/seg_pred", 4))
    places = open_data("places")
    assert (places.class_names, sizes(places)) == (("cat", "dog"), (8, 2, 10))
    assert len(places.left_out) == 4


def test_a_folder_called_test_within_one_class_is_no_part(root: Path) -> None:
    plant(root / "pets", [*CAT_AND_DOG, *numbered("cat/test", 3), *numbered("cat/train", 3)])
    pets = open_data("pets")
    assert pets.class_names == ("cat", "dog")
    assert len(pets.names) == 16


def test_a_loose_picture_in_a_part_does_not_hide_the_classes(root: Path) -> None:
    plant(root / "pets", [*(f"train/{path}" for path in CAT_AND_DOG), "train/cover.jpg"])
    plant(root / "pets", [f"val/{path}" for path in CAT_AND_DOG])
    pets = open_data("pets")
    assert (pets.class_names, sizes(pets)) == (("cat", "dog"), (10, 10, 0))
    assert pets.left_out == ("train/cover.jpg",)


def test_classes_in_one_outer_folder_are_found_and_this_is_said(root: Path) -> None:
    plant(root / "set" / "all" / "pets", CAT_AND_DOG)
    pets = open_data("set")
    assert pets.class_names == ("cat", "dog")
    assert "all/pets" in pets.guesses[0].sentence


def test_vehicles_may_be_trains(root: Path) -> None:
    plant(root / "vehicles", [*numbered("train", 5), *numbered("plane", 5)])
    assert open_data("vehicles").class_names == ("plane", "train")
    plant(root / "vehicles", numbered("train/steam", 5))
    assert open_data("vehicles").class_names == ("plane", "train")


def test_pictures_right_in_the_parts_are_in_no_class(root: Path) -> None:
    plant(root / "pets", [*numbered("train", 5), *numbered("test", 5)])
    with pytest.raises(InvalidData, match="in no class"):
        open_data("pets")


def test_a_test_part_is_kept_apart_and_another_one_held_out(root: Path) -> None:
    plant(root / "pets" / "train", CAT_AND_DOG)
    plant(root / "pets" / "test", CAT_AND_DOG)
    pets = open_data("pets")
    assert sizes(pets) == (8, 2, 10)
    assert pets.made_split
    assert [guess.option for guess in pets.guesses] == ["val_share"]


def test_a_part_without_the_first_class_shifts_no_label(root: Path) -> None:
    plant(root / "pets" / "train", [*CAT_AND_DOG, *numbered("ant", 5)])
    plant(root / "pets" / "val", [*CAT_AND_DOG, "ant/"])
    pets = open_data("pets")
    assert pets.class_names == ("ant", "cat", "dog")
    assert classes_of(pets)["val/dog/0.jpg"] == "dog"


def test_classes_that_only_other_parts_have_are_left_out_and_named(root: Path) -> None:
    plant(root / "pets" / "train", CAT_AND_DOG)
    plant(root / "pets" / "test", [*CAT_AND_DOG, "emu/0.jpg"])
    pets = open_data("pets")
    assert pets.class_names == ("cat", "dog")
    assert pets.untrained == ("emu",)
    assert pets.left_out == ("test/emu/0.jpg",)


def test_what_systems_leave_behind_is_passed_over_and_counted(root: Path) -> None:
    junk = [".DS_Store", "cat/Thumbs.db", "dog/desktop.ini", "cat/._0.jpg", "README.txt"]
    hidden = ["__MACOSX/cat/._0.jpg", ".ipynb_checkpoints/0.jpg", "cat/.ipynb_checkpoints/1.jpg"]
    plant(root / "pets", [*CAT_AND_DOG, *junk, *hidden])
    pets = open_data("pets")
    assert len(pets.names) == 10
    assert pets.class_names == ("cat", "dog")
    assert pets.passed_over == len(junk) + len(hidden)


def test_pictures_are_known_by_their_first_bytes_where_the_ending_says_nothing(root: Path) -> None:
    plant(root / "pets", [*CAT_AND_DOG, "cat/large.jpeg_large", "dog/none", "dog/CAPITALS.JPG"])
    plant(root / "pets", ["cat/notes", "cat/data.bin"], b"no picture at all")
    plant(root / "pets", ["cat/0.jpg~", "cat/0.jpg.bak"])
    names = open_data("pets").names
    assert {"cat/large.jpeg_large", "dog/none", "dog/CAPITALS.JPG"} < set(names)
    assert len(names) == 13


def test_of_nested_folders_the_outer_ones_are_classes_unless_it_is_said(root: Path) -> None:
    shapes = ["round/circle", "round/ring", "angular/square", "angular/cross"]
    for shape in shapes:
        plant(root / "shapes", numbered(shape, 4))
    outer = open_data("shapes")
    assert outer.class_names == ("angular", "round")
    assert outer.levels == (("angular", "round"), ("circle", "cross", "ring", "square"))
    assert outer.guesses[0].option == "columns"
    inner = open_data("shapes", Options(columns="label=2"))
    assert inner.class_names == ("circle", "cross", "ring", "square")
    whole = open_data("shapes", Options(columns="label=path"))
    assert whole.class_names == tuple(sorted(shapes))
    with pytest.raises(InvalidValue, match="1 to 2"):
        open_data("shapes", Options(columns="label=3"))


def test_folders_within_a_class_belong_to_it_and_this_is_said(root: Path) -> None:
    plant(root / "pets", [*CAT_AND_DOG, "cat/kittens/0.jpg"])
    pets = open_data("pets")
    assert classes_of(pets)["cat/kittens/0.jpg"] == "cat"
    assert pets.levels == ()
    assert pets.guesses[0].option == "columns"


def test_loose_pictures_beside_the_classes_are_left_out_by_name(root: Path) -> None:
    plant(root / "pets", [*CAT_AND_DOG, "cover.png"])
    assert open_data("pets").left_out == ("cover.png",)


def test_class_names_are_the_same_however_letters_are_composed(root: Path) -> None:
    plant(root / "pets" / "train", [*numbered("caf\u00e9", 3), *numbered("bar", 3)])
    plant(root / "pets" / "val", [*numbered("cafe\u0301", 3), *numbered("bar", 3)])
    pets = open_data("pets")
    assert pets.class_names == ("bar", "caf\u00e9")
    assert not pets.left_out


HOSTILE = [
    "new\nline",
    "tab\there",
    "quote'\"",
    "semi;colon,comma",
    "日本語",
    "🦜",
    "-rf",
    "%s{0}",
    " space ",
    "back\\slash",
    "\\xe9",
    "a" * 200,
    "train",
]


def test_hostile_names_are_read_like_others(root: Path) -> None:
    folder = plant(root / "odd", [f"{name}/{name}.jpg" for name in HOSTILE])
    plant(folder, [f"{name}/second.jpg" for name in HOSTILE])
    odd = open_data("odd")
    assert set(odd.class_names) == set(HOSTILE)
    assert all(odd.container.read(name, 100)[:3] == b"\xff\xd8\xff" for name in odd.names)
    assert len(odd.fingerprint) == 64


def test_names_that_are_not_unicode_are_shown_with_their_bytes_and_can_be_read(root: Path) -> None:
    plant(root / "odd", CAT_AND_DOG)
    raw = os.fsencode(root / "odd" / "cat") + b"/caf\xe9.jpg"
    Path(os.fsdecode(raw)).write_bytes(b"\xff\xd8\xff")
    odd = open_data("odd")
    assert "cat/caf\\xe9.jpg" in odd.names
    assert odd.container.read("cat/caf\\xe9.jpg", 100) == b"\xff\xd8\xff"
    assert odd.container.stamp("cat/caf\\xe9.jpg")[0] == 3


def test_links_are_followed_inside_the_roots_and_loops_end(root: Path) -> None:
    plant(root / "store", numbered("all", 3))
    plant(root / "pets", [*numbered("cat", 3), "dog/"])
    for index in range(3):
        (root / "pets" / "dog" / f"{index}.jpg").symlink_to(f"../../store/all/{index}.jpg")
    (root / "pets" / "cat" / "again").symlink_to(root / "pets")
    (root / "pets" / "emu").symlink_to(root / "store" / "all")
    pets = open_data("pets")
    assert pets.class_names == ("cat", "dog", "emu")
    assert {name for name in pets.names if not name.startswith("cat/")} == {
        *numbered("dog", 3),
        *numbered("emu", 3),
    }


def test_a_link_out_of_the_roots_is_refused_at_any_depth(root: Path) -> None:
    plant(root.parent / "outside", numbered("secret", 2))
    plant(root / "pets", CAT_AND_DOG)
    (root / "pets" / "cat" / "more").symlink_to(root.parent / "outside" / "secret")
    with pytest.raises(OutsideDataRoots):
        open_data("pets")


def test_a_pipe_in_a_pictures_place_is_passed_over_and_never_waited_for(root: Path) -> None:
    plant(root / "pets", CAT_AND_DOG)
    os.mkfifo(root / "pets" / "cat" / "pipe.jpg")
    pets = open_data("pets")
    assert (len(pets.names), pets.passed_over) == (10, 1)
    (root / "pets" / "cat" / "0.jpg").unlink()
    os.mkfifo(root / "pets" / "cat" / "0.jpg")
    with pytest.raises(FileNotFoundError):
        pets.container.read("cat/0.jpg", 100)


def test_the_fingerprint_changes_with_a_file_and_with_nothing_else(root: Path) -> None:
    plant(root / "pets", CAT_AND_DOG)
    before = open_data("pets").fingerprint
    assert open_data("pets").fingerprint == before
    later = time.time() + 5
    os.utime(root / "pets" / "cat" / "0.jpg", (later, later))
    after = open_data("pets").fingerprint
    assert after != before
    (root / "pets" / "cat" / "0.jpg").rename(root / "pets" / "dog" / "moved.jpg")
    assert open_data("pets").fingerprint not in (before, after)
