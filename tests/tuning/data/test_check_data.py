"""The rpc CheckData and `netgraft data check`: progress, the report, exit codes."""

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from netgraft.cli import main
from netgraft.serving.local.workers import LONG
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.servicer import TuningServicer
from netgraft.v1 import surgery_pb2, tuning_pb2

from .drawings import drawn, written


def checked(store: Store, **request: object) -> list[tuning_pb2.CheckDataReply]:
    message = tuning_pb2.CheckDataRequest(**request)  # type: ignore[arg-type]
    return list(TuningServicer(store).CheckData(message))


def data_check(*words: str) -> Result:
    return CliRunner().invoke(main, ("data", "check", "--local", *words), prog_name="netgraft")


def test_the_progress_is_streamed_and_ends_in_a_report(root: Path, store: Store) -> None:
    pictures = {
        f"{p}/{n}": d for p, s in (("train", 0), ("val", 60)) for n, d in drawn(9, start=s).items()
    }
    written(root / "shapes", pictures)
    replies = checked(store, data="shapes")
    assert [reply.done for reply in replies][-1] == 36
    assert {reply.total for reply in replies} == {36}
    report = replies[-1].report
    assert not any(reply.HasField("report") for reply in replies[:-1])
    assert (list(report.classes), list(report.class_sizes)) == (["box", "disc"], [18, 18])
    assert dict(report.sizes) == {"train": 18, "held_out": 18}
    assert (report.pictures, report.sampled, report.task) == (36, 36, "classification")
    assert len(report.data_hash) == len(report.fingerprint) == 64
    assert not report.findings
    again = checked(store, data=str(root / "shapes"))
    assert again[-1].report == report
    assert len(again) < len(replies), "what is known is not read again"


def test_a_model_with_a_head_for_other_classes_is_a_finding(root: Path, store: Store) -> None:
    written(root / "shapes", drawn(9))
    edit = surgery_pb2.RetargetModelRequest(model="timm/test_resnet@none", classes=5)
    model = SurgeryServicer(store).RetargetModel(edit).model.id
    report = checked(store, data="shapes", model=model)[-1].report
    assert [(each.kind, each.severity) for each in report.findings] == [("head", "error")]
    assert model[:12] in report.findings[0].sentence
    assert not checked(store, data="shapes", model="timm/test_resnet@none")[-1].report.findings


def test_a_check_has_a_worker_of_its_own() -> None:
    assert "CheckData" in LONG


def test_the_command_prints_json_and_fails_on_errors(root: Path) -> None:
    pictures = drawn(9)
    written(root / "shapes", pictures)
    done = data_check(str(root / "shapes"), "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["pictures"] == 18
    assert report.get("findings", []) == []
    written(root / "shapes", {"box/0001.jpg": pictures["box/0001.jpg"][:900], "box/0002.jpg": b""})
    failed = data_check(str(root / "shapes"), "--json")
    assert failed.exit_code == 1
    found = {each["kind"]: each["files"] for each in json.loads(failed.stdout)["findings"]}
    assert found == {"empty": ["box/0002.jpg"], "truncated": ["box/0001.jpg"]}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_report_is_a_table_for_people(root: Path, language: str) -> None:
    pictures = drawn(18) | {f"disc/{index:04d}.jpg": b"" for index in range(14)}
    written(root / "shapes", pictures)
    done = data_check(str(root / "shapes"), "--language", language)
    assert done.exit_code == 1
    assert "██████" in done.stdout
    assert "disc/0009.jpg" in done.stdout
    assert "disc/0010.jpg" not in done.stdout, "ten are named"
    rest = {"en": "and 4 more", "zh": "以及另外 4 个"}[language]
    assert rest in done.stdout
    assert {"en": "14 files are empty", "zh": "14 个文件为空"}[language] in done.stdout


def test_the_options_reach_the_kind(root: Path) -> None:
    written(root / "shapes", drawn(10))
    done = data_check(str(root / "shapes"), "--json", "--val-share", "0.5")
    assert json.loads(done.stdout)["sizes"] == {"train": 10, "held_out": 10}


def stamps(folder: Path) -> dict[Path, tuple[int, int, int, int]]:
    """Return what changes with a file, but not the time when it was read last."""
    stats = {file: file.stat() for file in folder.rglob("*")}
    return {f: (s.st_ino, s.st_mode, s.st_size, s.st_mtime_ns) for f, s in stats.items()}


@pytest.mark.parametrize("archived", [False, True])
def test_a_cleaned_list_is_a_data_set_without_the_faults(root: Path, *, archived: bool) -> None:
    pictures = {f"train/{name}": data for name, data in drawn(12).items()}
    pictures |= {f"val/{name}": data for name, data in drawn(6, start=60).items()}
    pictures["val/box/0060.jpg"] = pictures["train/box/0003.jpg"]
    pictures["train/box/copy.jpg"] = pictures["train/box/0004.jpg"]
    pictures["train/disc/0001.jpg"] = b""
    pictures["train/disc/0002.jpg"] = pictures["train/disc/0002.jpg"][:700]
    folder = written(root / "shapes", pictures)
    if archived:
        data = root / "shapes.zip"
        with zipfile.ZipFile(data, "w") as packed:
            for name, content in pictures.items():
                packed.writestr(name, content)
    before = stamps(folder)
    done = data_check(str(data if archived else folder), "--fix", "--json")
    assert done.exit_code == 1, "the data have faults, whatever the list has"
    fixed = json.loads(done.stdout)["fixed"]
    clean = data_check(fixed, "--json")
    assert clean.exit_code == 0, clean.output
    report = json.loads(clean.stdout)
    assert "findings" not in report
    assert report["sizes"] == {"train": 22, "held_out": 11}
    assert stamps(folder) == before


def test_a_model_that_has_learnt_finds_wrong_labels(
    root: Path, store: Store, torch_home_with_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(torch_home_with_weights))
    pictures = drawn(24)
    swapped = ("box/0003.jpg", "disc/0007.jpg")
    pictures |= {swapped[0]: pictures["disc/0003.jpg"], swapped[1]: pictures["box/0007.jpg"]}
    del pictures["disc/0003.jpg"], pictures["box/0007.jpg"]
    written(root / "shapes", pictures)
    replies = checked(store, data="shapes", model="mobilenet_v2@IMAGENET1K_V1")
    assert (replies[-1].done, replies[-1].total) == (92, 92), "read, and run through the model"
    found = {each.kind: each for each in replies[-1].report.findings}
    assert set(found) == {"wrong_labels"}
    assert found["wrong_labels"].severity == "note"
    assert set(swapped) <= set(found["wrong_labels"].files)
    assert len(found["wrong_labels"].files) <= 5
