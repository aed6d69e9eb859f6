"""What the user says of a data set is carried out, or refused in a sentence."""

from pathlib import Path

import pytest
from tests.tuning.data.trees import numbered, plant, sizes

from netgraft.errors import InvalidValue
from netgraft.tuning.data import Options, open_data
from netgraft.tuning.data.split import held_out

CAT_AND_DOG = [*numbered("cat", 20), *numbered("dog", 20)]


@pytest.fixture
def pets(root: Path) -> Path:
    for part in ("train", "val", "extra"):
        plant(root / "pets" / part, CAT_AND_DOG)
    return root / "pets"


def test_parts_that_are_named_are_taken_and_others_left_out(pets: Path) -> None:
    manifest = open_data("pets", Options(split="train=val,test=extra"))
    assert sizes(manifest) == (32, 8, 40)
    assert len(manifest.left_out) == 40
    both = open_data("pets", Options(split="train=train,train=extra,val=VAL"))
    assert sizes(both) == (80, 40, 0)


def test_parts_can_be_made_again(pets: Path) -> None:
    manifest = open_data("pets", Options(split="make", val_share=0.1))
    assert manifest.class_names == ("cat", "dog")
    assert sizes(manifest) == (72, 8, 0)
    assert manifest.made_split


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (Options(kind="coco"), "archive"),
        (Options(val_share=0.04), "0.05 to 0.5"),
        (Options(val_share=0.6), "0.05 to 0.5"),
        (Options(val_share=float("nan")), "0.05 to 0.5"),
        (Options(task="poetry"), "classification"),
        (Options(split="random"), "train=Training"),
        (Options(split="train=Trainings"), "extra, train, val"),
        (Options(columns="label"), "path=Filename"),
        (Options(group="patient"), "parent, prefix:_"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_with_what_can(
    pets: Path, options: Options, sentence: str
) -> None:
    with pytest.raises(InvalidValue, match=sentence):
        open_data("pets", options)


@pytest.mark.parametrize(
    "options", [Options(columns="label=2"), Options(group="parent"), Options(split="train=a")]
)
def test_digits_have_neither_folders_nor_columns(root: Path, options: Options) -> None:
    with pytest.raises(InvalidValue):
        open_data("digits", options)


def test_the_share_of_the_digits_can_be_said() -> None:
    digits = open_data("digits", Options(val_share=0.5))
    assert digits.size("held_out") in range(890, 906)


@pytest.mark.parametrize("group", ["prefix:_", "parent"])
def test_groups_stay_together_and_classes_keep_their_share(root: Path, group: str) -> None:
    for patient in range(20):
        for name in ("ill", "well"):
            plant(root / "scans" / name / f"p{patient}", [f"p{patient}_{i}.jpg" for i in range(5)])
    scans = open_data("scans", Options(group=group))
    part_of: dict[str, set[str]] = {}
    for each, part in zip(scans.groups, scans.parts, strict=True):
        part_of.setdefault(each, set()).add(part)
    assert all(len(parts) == 1 for parts in part_of.values())
    for label in (0, 1):
        members = [p for p, at in zip(scans.parts, scans.labels, strict=True) if at == label]
        assert 15 <= members.count("held_out") <= 25


def test_no_class_loses_all_its_pictures_to_the_held_out_part() -> None:
    labels = [0] * 30 + [1] * 10
    groups = [f"a{index // 3}" for index in range(30)] + ["only"] * 10
    names = [str(index) for index in range(40)]
    chosen = held_out(names, labels, 0.2, groups)
    assert chosen
    assert all(labels[index] == 0 for index in chosen), "its one group is trained on"


def test_one_group_alone_is_trained_on() -> None:
    assert held_out(["a", "b"], [0, 1], 0.2, ["same", "same"]) == set()


def test_groups_larger_than_the_share_still_give_something_to_measure_on() -> None:
    labels = [index % 2 for index in range(40)]
    chosen = held_out([str(i) for i in range(40)], labels, 0.1, [str(i // 20) for i in range(40)])
    assert len(chosen) == 20
