"""predict and evaluate: in this process, and at a server that gets the pictures as bytes."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netgraft.cli import localpictures
from netgraft.cli.localpictures import Question
from netgraft.settings import settings

from .conftest import Run
from .server import serving

GOOD = ["pets/cat/0.png", "pets/cat/1.png", "pets/dog/0.png", "pets/dog/1.png"]


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of pictures below the one that the user is in."""
    for order, name in enumerate(("cat", "dog")):
        generator = np.random.default_rng(order)
        (tmp_path / "pets" / name).mkdir(parents=True)
        for index in range(5):
            pixels = generator.integers(0, 255, (24, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{index}.png")
    (tmp_path / "pets" / "notes.txt").write_text("no picture")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    return tmp_path


@pytest.fixture
def model(run: Run, pets: Path) -> str:
    words = ("timm/test_resnet", "--weights", "none", "--class-names", "dog,cat", "--json")
    return str(json.loads(run("retarget", *words).stdout)["model"]["id"])


@pytest.fixture
def elsewhere(pets: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that reads no folder of the user's."""
    (pets / "roots").mkdir()
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(pets / "roots"))
    settings.cache_clear()
    with serving() as address:
        monkeypatch.setenv("NETGRAFT_ADDRESS", address)
        settings.cache_clear()
        yield


def test_pictures_and_folders_are_predicted_with_bars(run: Run, model: str) -> None:
    done = run("predict", model, "pets/cat/0.png", "bad.png", "gone.png", "pets/dog", "--top", "1")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "pets/cat/0.png"
    assert lines[2:4] == [
        "bad.png is not a picture.",
        f"There is no picture 'gone.png'. Give a file or a folder below {Path.cwd()}.",
    ]
    assert [line for line in lines if line.startswith("pets/dog/")] == [
        f"pets/dog/{index}.png" for index in range(5)
    ]
    bars = [line for line in lines if line.startswith("  ")]
    assert len(bars) == 6
    assert all(line.split()[0] in ("cat", "dog") and "█" in line for line in bars)


def test_csv_and_json_have_every_class_and_every_error(run: Run, model: str) -> None:
    done = run("predict", model, "bad.png", "pets/cat", "--csv")
    assert done.exit_code == 1
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert rows[0]["error"] == "bad.png is not a picture."
    assert len(rows) == 1 + 2 * 5
    assert [row["rank"] for row in rows[1:3]] == ["1", "2"]
    assert sum(float(row["probability"]) for row in rows[1:3]) == pytest.approx(1, abs=1e-5)
    done = run("predict", model, "pets", "--json")
    assert done.exit_code == 0
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert [reply["done"] for reply in replies] == list(range(1, 11))
    assert {reply["total"] for reply in replies} == {10}


@pytest.mark.usefixtures("elsewhere")
def test_a_server_that_cannot_read_them_gets_pictures_as_bytes_and_answers_alike(
    run: Run, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = max(Path(name).stat().st_size for name in GOOD)
    monkeypatch.setattr(localpictures, "SENT_BYTES", 3 * largest)  # several calls
    sent = run("predict", model, "bad.png", "pets", "--json")
    monkeypatch.delenv("NETGRAFT_ADDRESS")
    monkeypatch.delenv("NETGRAFT_DATA_ROOTS")
    settings.cache_clear()
    here = run("predict", model, "bad.png", "pets", "--json")
    assert sent.exit_code == here.exit_code == 1

    def answers(output: str) -> dict[str, object]:
        replies = [json.loads(line) for line in output.splitlines()]
        return {each["name"]: each.get("classes") for each in replies}

    assert answers(sent.stdout) == answers(here.stdout)
    assert set(GOOD) < answers(sent.stdout).keys()


@pytest.mark.usefixtures("elsewhere")
def test_a_picture_too_large_to_send_is_named_and_the_rest_go_on(
    run: Run, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(localpictures, "SENT_BYTES", 1000)
    Image.new("RGB", (8, 8)).save("small.png")
    done = run("predict", model, "pets/cat/0.png", "small.png", "--top", "1")
    assert done.exit_code == 1
    assert "pets/cat/0.png has more than" in done.stdout
    assert "small.png\n" in done.stdout


@pytest.mark.usefixtures("elsewhere")
def test_a_large_picture_is_made_smaller_to_be_sent(
    run: Run, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(localpictures, "SENT_BYTES", 2**20)
    Image.linear_gradient("L").resize((1200, 1200)).convert("RGB").save("large.bmp")
    done = run("predict", model, "large.bmp", "--json")
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["classes"]) == 2


def test_questions_keep_the_order_of_what_was_typed() -> None:
    first, second = Question({"/a": "a"}), Question(pictures=[("b", b"1")])
    assert first.takes(second, 10)
    assert not first.takes(Question({"/c": "c"}), 10)  # paths are answered before bytes
    assert not first.takes(Question(pictures=[("d", b"1" * 10)]), 10)
    assert (first.name("/a/x.png"), first.name("/ab"), first.name("b")) == ("a/x.png", "/ab", "b")


def test_a_model_is_measured_on_a_folder(run: Run, model: str) -> None:
    chinese = run("evaluate", model, "--data", "pets", "--language", "zh").stdout
    assert "平衡准确率" in chinese
    assert "accuracy" not in chinese
    done = run("evaluate", model, "--data", "pets", "--split", "all")
    assert done.exit_code == 0, done.output
    found = json.loads(run("evaluate", model, "--data", "pets", "--split", "all", "--json").stdout)
    assert (found["pictures"], found["majority"]) == (10, 0.5)
    assert f"({found['correct']}/10; 95 % interval" in done.stdout
    assert "is ↓   taken for →   cat   dog" in done.stdout
    table = run("evaluate", model, "--data", "pets", "--split", "all", "--csv").stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["class"] for row in rows] == ["cat", "dog"]
    taken = [int(row[f"as {name}"]) for row in rows for name in ("cat", "dog")]
    assert taken == [*found["confusion"]]
    shared = run("evaluate", model, "--data", "pets", "--split", "make", "--val-share", "0.4")
    assert "/4; 95 % interval" in shared.stdout
