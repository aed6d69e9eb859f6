"""Manifests that are kept, and lists that are written: the same pictures, classes and parts."""

import io
import os
import time
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.tuning.data.trees import JPEG, classes_of, numbered, plant, sizes

from netgraft.errors import InvalidData, OutsideDataRoots
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.tuning.data import Options, open_data
from netgraft.tuning.data.kept import keep, kept
from netgraft.tuning.data.kinds.written import write_list

CAT_AND_DOG = [*numbered("cat", 10), *numbered("dog", 10)]


@pytest.fixture
def references(root: Path) -> list[str]:
    """The same pictures as folders, in an archive and named by a table."""
    plant(root / "pets", CAT_AND_DOG)
    with zipfile.ZipFile(root / "pets.zip", "w") as archive:
        for name in CAT_AND_DOG:
            archive.writestr(name, JPEG)
    lines = [f"pets/{name},{name[:3]}" for name in CAT_AND_DOG]
    (root / "pets.csv").write_text("\n".join(["path,label", *lines]))
    return ["pets", "pets.zip", "pets.csv", "digits"]


def test_what_is_kept_is_found_again_with_its_parts(references: list[str], store: Store) -> None:
    for reference in references:
        opened = open_data(reference, Options(val_share=0.3))
        found = kept(keep(opened, store), store)
        assert found == opened
        assert found.guesses == opened.guesses
        assert [each.sentence.say("zh") for each in found.guesses] == [
            each.sentence.say("zh") for each in opened.guesses
        ]
        name = found.names[-1]
        assert found.container.read(name, 10**6) == opened.container.read(name, 10**6)
    assert kept("0" * 64, store) is None


def test_what_is_kept_is_a_parquet_file_that_others_can_read(
    references: list[str], store: Store
) -> None:
    fingerprint = keep(open_data("pets"), store)
    (name,) = store.names("manifests")
    assert name.startswith(fingerprint)
    table = pq.read_table(io.BytesIO(store.read("manifests", name)))
    assert table["names"].to_pylist() == sorted(CAT_AND_DOG)
    store.replace_file("manifests", name, store.read("manifests", name)[:-20])
    assert kept(fingerprint, store) is None, "it is damaged"


def test_pictures_that_changed_since_are_noticed(
    root: Path, references: list[str], store: Store
) -> None:
    fingerprint = keep(open_data("pets"), store)
    later = time.time() + 5
    os.utime(root / "pets" / "cat" / "0.jpg", (later, later))
    with pytest.raises(InvalidData, match=r"cat/0\.jpg has changed since"):
        kept(fingerprint, store)
    (root / "pets" / "cat" / "0.jpg").unlink()
    with pytest.raises(InvalidData, match=r"cat/0\.jpg is gone"):
        kept(fingerprint, store)


def test_a_written_list_is_the_data_set_without_the_faults(references: list[str]) -> None:
    for reference in references[:3]:
        opened = open_data(reference)
        bad = opened.names[3]
        cleaned = open_data(write_list(opened, [bad]))
        assert (cleaned.kind, cleaned.class_names) == ("list", opened.class_names)
        assert len(cleaned.names) == len(opened.names) - 1
        before, after = classes_of(opened), classes_of(cleaned)
        assert sorted(after.values()) == sorted(before[name] for name in before if name != bad)
        assert not [name for name in cleaned.names if name.endswith(bad)]
        held = {opened.names[i].split("/")[-1] for i in opened.indices("held_out")}
        assert {cleaned.names[i].split("/")[-1] for i in cleaned.indices("held_out")} <= held
        assert cleaned.container.read(cleaned.names[0], 1000) == JPEG
        again = write_list(cleaned, [cleaned.names[0]])
        assert len(open_data(again).names) == len(opened.names) - 2
        shares = open_data(again, Options(split="make", val_share=0.5))
        assert sizes(shares)[1] in (8, 9, 10)


def test_lists_are_written_once_and_for_their_owner_alone(references: list[str]) -> None:
    opened = open_data("pets")
    reference = write_list(opened, [])
    assert write_list(opened, []) == reference
    files = list(settings().lists.iterdir())
    assert [str(file) for file in files] == [reference]
    assert files[0].stat().st_mode & 0o077 == 0
    with pytest.raises(InvalidData, match="no picture would be left"):
        write_list(opened, opened.names)
    assert write_list(open_data("digits"), []) == "digits"


def test_a_list_leads_to_nothing_outside_the_roots(root: Path, references: list[str]) -> None:
    plant(root.parent / "outside", ["secret.jpg"])
    reference = Path(write_list(open_data("pets"), []))
    line = f"{root.parent}/outside/secret.jpg,cat,train,\n"
    reference.write_text(reference.read_text() + line)
    with pytest.raises(OutsideDataRoots):
        open_data(str(reference))
    reference.write_text("path,label\nx,y\n")
    with pytest.raises(InvalidData, match="damaged"):
        open_data(str(reference))
    with pytest.raises(OutsideDataRoots):
        open_data(str(settings().folder / "netgraft.db"))


def test_hostile_names_survive_a_list(root: Path) -> None:
    names = ['a "quoted", name', "new\nline", " space ", "日本語", "1.0"]
    plant(root / "odd", [f"{name}/{i}.jpg" for name in names for i in range(3)])
    opened = open_data("odd")
    cleaned = open_data(write_list(opened, [opened.names[0]]))
    assert cleaned.class_names == opened.class_names
    assert len(cleaned.names) == len(opened.names) - 1
