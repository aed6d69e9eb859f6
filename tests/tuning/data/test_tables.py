"""Tables of pictures: their columns, paths, encodings and parts."""

from pathlib import Path

import pytest
from tests.tuning.data.trees import classes_of, plant, sizes

from netgraft.errors import InvalidData, InvalidValue, OutsideDataRoots
from netgraft.tuning.data import Options, open_data

NAMES = [f"{index:02d}.jpg" for index in range(12)]


def written(path: Path, header: str, rows: list[str], encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]), encoding=encoding)
    return path


def rows(form: str = "{name},{label}") -> list[str]:
    labels = ["cat", "dog", "emu"]
    return [form.format(name=name, label=labels[i % 3], i=i) for i, name in enumerate(NAMES)]


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("path,label", "{name},{label}"),
        ("Filename,Category,photographer", '{name},{label},"Doe, J."'),
        ("id;target;score", "{name};{label};0,5"),
        ("image_path\tclass\tage", "{name}\t{label}\t3"),
        ("Label | Image File", "{label} | {name}"),
        ('"file","class_name","class_id"', '"{name}","{label}","{i}"'),
        ("whatever,anything", "{name},{label}"),
        ("label,id,breed", "{i},{name},{label}"),
    ],
)
@pytest.mark.parametrize("folder", ["", "images/"])
def test_columns_delimiters_and_folders_are_found(
    root: Path, header: str, form: str, folder: str
) -> None:
    plant(root / "set", [folder + name for name in NAMES])
    if "label" in header and "breed" in header:
        header = header.replace("label", "number")
    written(root / "set" / "labels.csv", header, rows(form))
    for reference in ("set", "set/labels.csv"):
        manifest = open_data(reference)
        assert manifest.kind == "table"
        assert manifest.class_names == ("cat", "dog", "emu")
        assert classes_of(manifest)[f"{folder}00.jpg"] == "cat"
        assert len(manifest.names) == 12
        assert manifest.guesses[0].option == "columns"
        assert manifest.container.read(manifest.names[0], 100)


def test_columns_can_be_said_and_an_unknown_one_is_answered_with_those_there(root: Path) -> None:
    plant(root, NAMES)
    lines = rows("{name},{label},{i}")
    written(root / "t.csv", "path,label,Number", lines)
    manifest = open_data("t.csv", Options(columns="label=number,path=path"))
    assert manifest.class_names == tuple(sorted(str(i) for i in range(12)))
    with pytest.raises(InvalidValue, match="path, label, Number"):
        open_data("t.csv", Options(columns="label=species"))
    with pytest.raises(InvalidValue, match="path, label, Number, parent"):
        open_data("t.csv", Options(group="patient"))


def test_a_table_without_a_header_is_understood(root: Path) -> None:
    plant(root, NAMES)
    text = [f"{name} {i % 2 + 1}" for i, name in enumerate(NAMES)]
    (root / "list.txt").write_text("\n".join(text))
    manifest = open_data("list.txt")
    assert manifest.class_names == ("1", "2")
    assert len(manifest.names) == 12


@pytest.mark.parametrize(
    ("cell", "names"), [("{i}", ("0", "1", "2")), ("{i}.0", ("0", "1", "2")), ("c{i}.0", None)]
)
def test_whole_numbers_are_names(root: Path, cell: str, names: tuple[str, ...] | None) -> None:
    plant(root, NAMES)
    lines = [f"{name},{cell.format(i=i % 3)}" for i, name in enumerate(NAMES)]
    written(root / "t.csv", "path,label", lines)
    assert open_data("t.csv").class_names == (names or ("c0.0", "c1.0", "c2.0"))


def test_measurements_are_no_classes(root: Path) -> None:
    plant(root, NAMES)
    written(root / "t.csv", "path,target", [f"{name},{i / 7}" for i, name in enumerate(NAMES)])
    with pytest.raises(InvalidData, match="column target has numbers with fractions"):
        open_data("t.csv")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["train", "train", "val", "test"], (6, 3, 3)),
        (["Training", "Training", "Validation", "Testing"], (6, 3, 3)),
        (["TRAIN", "train ", "dev", ""], (6, 3, 0)),
    ],
)
def test_a_column_names_the_parts(root: Path, values: list[str], expected: tuple[int, ...]) -> None:
    plant(root, NAMES)
    lines = [f"{name},{'ab'[i // 4 % 2]},{values[i % 4]}" for i, name in enumerate(NAMES)]
    written(root / "t.csv", "path,label,split", lines)
    manifest = open_data("t.csv")
    assert sizes(manifest) == expected
    assert len(manifest.left_out) == 12 - sum(expected)


def test_a_column_of_flags_and_one_of_folds(root: Path) -> None:
    plant(root, NAMES)
    lines = [f"{name},{'ab'[i % 2]},{i // 2 % 3 == 0},{i % 5}" for i, name in enumerate(NAMES)]
    written(root / "t.csv", "path,label,is_valid,other", lines)
    assert sizes(open_data("t.csv")) == (8, 4, 0)
    written(root / "t.csv", "path,label,x,fold", lines)
    guessed = open_data("t.csv")
    assert guessed.made_split
    assert "split" in [guess.option for guess in guessed.guesses]
    said = open_data("t.csv", Options(split="train=0,train=1,train=2,train=3,held_out=4"))
    assert sizes(said) == (10, 2, 0)
    with pytest.raises(InvalidValue, match="0, 1, 2, 3, 4"):
        open_data("t.csv", Options(split="train=0,held_out=9"))


def test_a_column_of_patients_keeps_them_together(root: Path) -> None:
    plant(root, [f"{i}.jpg" for i in range(60)])
    lines = [f"{i}.jpg,{'ab'[i % 2]},p{i // 6}" for i in range(60)]
    written(root / "t.csv", "path,label,Patient ID", lines)
    manifest = open_data("t.csv")
    assert len(set(manifest.groups)) == 10
    held = {manifest.groups[i] for i in manifest.indices("held_out")}
    assert held
    assert not held & {manifest.groups[i] for i in manifest.indices("train")}


def test_pictures_that_are_not_there_are_named(root: Path) -> None:
    plant(root, NAMES[:-2])
    written(root / "t.csv", "path,label", rows())
    assert open_data("t.csv").absent == tuple(NAMES[-2:])
    written(root / "u.csv", "path,label", ["x.jpg,a", "y.jpg,b"])
    with pytest.raises(InvalidData, match="none of the pictures"):
        open_data("u.csv")


def test_endings_that_tables_leave_out_and_paths_of_other_systems(root: Path) -> None:
    plant(root / "images", NAMES)
    written(root / "t.csv", "image_id,label", [row.replace(".jpg", "") for row in rows()])
    assert len(open_data("t.csv").names) == 12
    foreign = ["C:\\data\\images\\{name},{label}", "/kaggle/input/images/{name},{label}"]
    written(
        root / "u.csv", "path,label", [rows(f)[i] for i in range(12) for f in foreign[i % 2 :][:1]]
    )
    assert len(open_data("u.csv").names) == 12


def test_paths_out_of_the_roots_are_refused(root: Path) -> None:
    plant(root / "set", NAMES)
    outside = plant(root.parent / "outside", ["secret.jpg"])
    for path in (f"{outside}/secret.jpg", "../../outside/secret.jpg", "/etc/passwd"):
        written(root / "set" / "t.csv", "path,label", [*rows(), f"{path},cat"])
        with pytest.raises(OutsideDataRoots):
            open_data("set/t.csv")
    (root / "set" / "link.jpg").symlink_to(outside / "secret.jpg")
    written(root / "set" / "t.csv", "path,label", [*rows(), "link.jpg,cat"])
    with pytest.raises(OutsideDataRoots):
        open_data("set/t.csv")


def test_a_table_in_a_folder_of_its_own_finds_the_pictures_beside_it(root: Path) -> None:
    plant(root / "set" / "images", NAMES)
    written(root / "set" / "labels" / "t.csv", "path,label", rows())
    manifest = open_data("set/labels/t.csv")
    assert manifest.names[0] == "../images/00.jpg"
    assert manifest.container.read(manifest.names[0], 100)


def test_absolute_paths_inside_the_roots_are_read(root: Path) -> None:
    plant(root / "elsewhere", NAMES)
    absolute = str(root / "elsewhere")
    written(root / "lists" / "t.csv", "path,label", rows(absolute + "/{name},{label}"))
    manifest = open_data("lists/t.csv")
    assert manifest.names[0] == f"{absolute}/00.jpg"
    assert manifest.container.read(manifest.names[0], 100)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-8-sig", "猫"), ("utf-16", "猫"), ("gb18030", "家猫"), ("cp1252", "café")],
)
def test_encodings_are_found(root: Path, encoding: str, name: str) -> None:
    plant(root, NAMES)
    lines = [f"{each},{name if i % 2 else 'dog'}" for i, each in enumerate(NAMES)]
    written(root / "t.csv", "path,label", lines, encoding)
    manifest = open_data("t.csv")
    assert set(manifest.class_names) == {name, "dog"}
    assert len(manifest.guesses) == 2 + (encoding in ("gb18030", "cp1252"))


def test_tables_that_are_called_as_parts_are_one_data_set(root: Path) -> None:
    plant(root / "set" / "images", NAMES)
    written(root / "set" / "train.csv", "path,label", rows()[:9])
    written(root / "set" / "val.csv", "path,label", rows()[9:])
    written(root / "set" / "sample_submission.csv", "id,guess", ["1,0", "2,0"])
    assert sizes(open_data("set")) == (9, 3, 0)


def test_a_table_that_names_no_pictures_leaves_the_folders_to_say_it(root: Path) -> None:
    plant(root / "set", [f"{c}/{n}" for c in ("cat", "dog") for n in NAMES])
    written(root / "set" / "history.csv", "epoch,label", ["1,0.5", "2,0.4"])
    assert open_data("set").kind == "folder"
    written(
        root / "set" / "t.csv",
        "path,label",
        [f"cat/{name},x{i % 2}" for i, name in enumerate(NAMES)],
    )
    told = open_data("set")
    assert (told.kind, told.class_names) == ("table", ("x0", "x1"))
    assert "kind" in [guess.option for guess in told.guesses]
    assert open_data("set", Options(kind="folder")).class_names == ("cat", "dog")


def test_rows_that_repeat_and_rows_without_a_class(root: Path) -> None:
    plant(root, NAMES)
    written(root / "t.csv", "path,label", [*rows(), *rows()[:2], f"./{NAMES[2]},emu", "05.jpg,"])
    manifest = open_data("t.csv")
    assert (len(manifest.names), manifest.passed_over) == (12, 3)
    assert manifest.left_out == ("05.jpg",)


def test_json_lines_and_parquet(root: Path) -> None:
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    plant(root, NAMES)
    found = [{"file_name": n, "label": i % 2 + 1, "more": [1]} for i, n in enumerate(NAMES)]
    (root / "t.jsonl").write_text("\n".join(map(json.dumps, found)))
    pq.write_table(pa.Table.from_pylist(found), root / "t.parquet")
    for name in ("t.jsonl", "t.parquet"):
        manifest = open_data(name)
        assert manifest.class_names == ("1", "2")
        assert len(manifest.names) == 12


@pytest.mark.parametrize(
    "content",
    [b"", b"path,label\n", b"\x00" * 100, b"\xff\xfe\x00", b'path,label\n"' + b"x" * 200_000],
)
def test_what_is_no_table_is_refused_in_a_sentence(root: Path, content: bytes) -> None:
    for ending in ("csv", "jsonl", "parquet"):
        (root / f"t.{ending}").write_bytes(content)
        with pytest.raises(InvalidData):
            open_data(f"t.{ending}")
