"""The checks: what is planted is found, with its files, and nothing else is."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from netgraft.tuning.data.checks import check_all, every_check
from netgraft.tuning.data.checks.duplicates import leaked
from netgraft.tuning.data.checks.finding import Head, OutOfFold, Severity
from netgraft.tuning.data.checks.wrong_labels import suspects

from .drawings import drawing, drawn, encoded, found, manifest, seen

ERROR, WARNING, NOTE = Severity
PARTS = {"train": "train", "val": "held_out", "test": "test"}


def in_part(part: str, pictures: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{part}/{name}": data for name, data in pictures.items()}


def test_a_sound_set_has_no_finding() -> None:
    assert found(drawn(24, ("bar", "box", "disc"))) == {}


def test_every_check_is_found_without_a_list() -> None:
    assert len(list(every_check())) >= 12


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP"])
def test_faults_are_named_all_at_once(form: str) -> None:
    pictures = drawn(8)
    data = encoded(drawing(0, 99), form)
    pictures["box/0001.jpg"] = data[: int(len(data) * 0.6)]
    pictures["disc/0006.jpg"] = data[: int(len(data) * 0.93)]
    pictures["box/0003.jpg"] = b""
    pictures["disc/0002.jpg"] = bytes(4000)
    findings = found(pictures)
    files = {kind: (each.severity, each.files) for kind, each in findings.items()}
    assert files == {
        "empty": (ERROR, ("box/0003.jpg",)),
        "truncated": (ERROR, ("box/0001.jpg", "disc/0006.jpg")),
        "unreadable": (ERROR, ("disc/0002.jpg",)),
    }
    assert findings["truncated"].left_out == ("box/0001.jpg", "disc/0006.jpg")


def test_what_is_not_there_is_absent() -> None:
    told = seen(drawn(8))
    told = replace(told, manifest=replace(told.manifest, absent=("box/9.jpg",)))
    findings = {each.kind: each for each in check_all(told)}
    assert findings["absent"].files == ("box/9.jpg",)


def test_a_picture_that_is_too_large_is_named() -> None:
    pictures = drawn(8)
    pictures["box/0000.jpg"] = encoded(Image.new("1", (20_000, 20_000)), "PNG")
    assert found(pictures)["too_large"].files == ("box/0000.jpg",)


def test_the_content_decides_and_a_lying_name_is_said() -> None:
    pictures = drawn(8)
    forms = (("box/0000.jpg", "PNG"), ("disc/0001.png", "WEBP"), ("box/1.tiff", "GIF"))
    for at, (name, form) in enumerate(forms):
        pictures[name] = encoded(drawing(0, at + 50), form)
    for at, ending in enumerate(("JPG", "jpe", "JFIF", "jpeg_large")):
        pictures[f"disc/more.{ending}"] = encoded(drawing(1, at + 60))
    pictures["disc/without"] = encoded(drawing(1, 70))
    pictures["disc/twice.jpg.png"] = encoded(drawing(1, 71), "PNG")
    lying = ("box/0000.jpg", "box/1.tiff", "disc/0001.png", "disc/more.jpeg_large")
    findings = found(pictures)
    assert (findings["wrong_ending"].severity, findings["wrong_ending"].files) == (WARNING, lying)
    assert set(findings) == {"wrong_ending"}


def test_transparent_pictures_are_named_with_the_ground() -> None:
    pictures = drawn(8)
    clear = drawing(0, 50).convert("RGBA")
    clear.putpixel((3, 3), (9, 9, 9, 100))
    pictures["box/clear.png"] = encoded(clear, "PNG")
    pictures["box/opaque.png"] = encoded(drawing(0, 51).convert("RGBA"), "PNG")
    finding = found(pictures)["alpha"]
    assert (finding.severity, finding.files) == (WARNING, ("box/clear.png",))
    assert "white" in finding.sentence


def deep(kind: int, seed: int) -> bytes:
    gray = np.asarray(drawing(kind, seed).convert("L"), np.uint16) * 14 + 400
    return encoded(Image.fromarray(gray), "TIFF")


def test_one_picture_stands_for_a_set_of_deep_ones() -> None:
    kinds = ("box", "disc")
    pictures = {f"{k}/{i}.tif": deep(at, i) for at, k in enumerate(kinds) for i in range(6)}
    finding = found(pictures)["deep_pixels"]
    assert (finding.severity, finding.files) == (WARNING, ("box/0.tif",))
    assert "3," in finding.sentence, "the range that is used"


def test_of_a_mixed_set_the_deep_ones_are_named() -> None:
    pictures = drawn(8) | {"box/a.tif": deep(0, 50), "disc/b.tif": deep(1, 50)}
    assert found(pictures)["deep_pixels"].files == ("box/a.tif", "disc/b.tif")


def test_classes() -> None:
    one = found(drawn(8, ("box",)))
    assert {kind: each.severity for kind, each in one.items()} == {"one_class": ERROR}
    assert one["one_class"].files == ("box",)
    few = found(drawn(20) | drawn(1, ("ring",)) | drawn(2, ("tip",), start=40))
    assert (few["few_pictures"].severity, few["few_pictures"].files) == (WARNING, ("ring", "tip"))
    assert few["imbalance"].severity == NOTE
    assert "ring (1), tip (2)" in few["few_pictures"].sentence


@pytest.mark.parametrize(("large", "small", "severity"), [(60, 2, WARNING), (30, 5, NOTE)])
def test_uneven_classes(large: int, small: int, severity: Severity) -> None:
    pictures = drawn(large, ("box",)) | drawn(small, ("disc",), start=100)
    finding = found(pictures)["imbalance"]
    assert (finding.severity, finding.files) == (severity, ("disc",))
    assert f"{large / small:.0f} times" in finding.sentence


def test_even_classes_are_no_finding() -> None:
    assert found(drawn(20, ("box",)) | drawn(5, ("disc",), start=50)) == {}


def test_a_class_that_nothing_measures_or_trains() -> None:
    pictures = in_part("train", drawn(9, ("box", "disc", "bar"))) | in_part(
        "val", drawn(6, ("disc", "bar"), start=50)
    )
    findings = {f.kind: f for f in check_all(seen(pictures, parts=PARTS))}
    assert findings["no_held_out"].files == ("box",)
    assert set(findings) == {"no_held_out"}
    only = in_part("train", drawn(9)) | in_part("val", drawn(6, ("box", "ring"), start=50))
    found_ = {f.kind: f for f in check_all(seen(only, parts=PARTS))}
    assert (found_["no_train"].severity, found_["no_train"].files) == (ERROR, ("ring",))


def test_nothing_held_out_at_all_is_an_error() -> None:
    findings = {f.kind: f for f in check_all(seen(drawn(9)))}
    assert findings["no_held_out"].severity == ERROR


def again(data: bytes, way: str) -> bytes:
    """The same picture, saved by another program."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    if way == "small":
        return encoded(picture.resize((64, 64), Image.Resampling.LANCZOS), "PNG")
    if way == "bright":
        return encoded(ImageEnhance.Brightness(picture).enhance(1.03))
    return encoded(picture, way, quality=50)


@pytest.mark.parametrize("way", ["copied", "JPEG", "WEBP", "small", "bright"])
@pytest.mark.parametrize("part", ["val", "test"])
def test_what_measures_and_is_trained_on_is_named_with_its_share(way: str, part: str) -> None:
    pictures = in_part("train", drawn(20)) | in_part("val", drawn(6, start=60))
    pictures |= in_part("test", drawn(6, start=80))
    leaks = []
    for at in range(5):
        kind = ("box", "disc")[at % 2]
        source = pictures[f"train/{kind}/{at:04d}.jpg"]
        name = f"{part}/{kind}/{(60 if part == 'val' else 80) + at:04d}.jpg"
        pictures[name] = source if way == "copied" else again(source, way)
        leaks.append(name)
    told = seen(pictures, parts=PARTS)
    findings = {f.kind: f for f in check_all(told) if f.kind != "wrong_ending"}
    assert set(findings) == {"duplicate_across"}
    assert findings["duplicate_across"].severity == WARNING
    assert findings["duplicate_across"].files == tuple(sorted(leaks))
    assert "5 of the 12" in findings["duplicate_across"].sentence
    assert "42%" in findings["duplicate_across"].sentence
    assert told.files(leaked(told)) == tuple(sorted(leaks))


def test_copies_within_a_part() -> None:
    pictures = drawn(20)
    pictures["box/copy.jpg"] = pictures["box/0002.jpg"]
    pictures["box/again.jpg"] = again(pictures["box/0003.jpg"], "JPEG")
    findings = found(pictures)
    assert findings["duplicate"].files == ("box/copy.jpg",)
    assert findings["duplicate"].left_out == ("box/copy.jpg",)
    assert (findings["alike"].severity, findings["alike"].files) == (NOTE, ("box/again.jpg",))


def test_a_copy_in_another_class_is_a_wrong_label() -> None:
    pictures = drawn(20)
    pictures["disc/copy.jpg"] = pictures["box/0002.jpg"]
    clash = found(pictures)["clashing_labels"]
    assert (clash.severity, clash.files) == (WARNING, ("box/0002.jpg", "disc/copy.jpg"))


def sign(seed: int, *, right: bool) -> Image.Image:
    """The same sign on a ground of its own noise: pictures that are made to resemble each other."""
    noise = np.random.default_rng(seed).integers(30, 90, (96, 128, 3), np.uint8)
    picture = Image.fromarray(noise)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((30, 44, 90, 52), fill=(250, 220, 60))
    draw.polygon([(90, 28), (112, 48), (90, 68)], fill=(250, 220, 60))
    return picture if right else picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def test_drawings_that_resemble_each_other_are_no_copies() -> None:
    pictures = {
        f"{part}/{name}/{i:03d}.png": encoded(sign(i, right=name == "right"), "PNG")
        for part, start in (("train", 0), ("val", 40))
        for name in ("left", "right")
        for i in range(start + 200 * (name == "left"), start + 200 * (name == "left") + 20)
    }
    assert {f.kind for f in check_all(seen(pictures, parts=PARTS))} == set()
    pictures["val/right/000.png"] = again(pictures["train/right/003.png"], "JPEG")
    findings = {f.kind: f for f in check_all(seen(pictures, parts=PARTS))}
    assert findings["duplicate_across"].files == ("val/right/000.png",)


def test_classes_that_differ_by_colour_alone_are_no_copies() -> None:
    def tinted(seed: int, red: int) -> bytes:
        gray = drawing(0, seed).convert("L")
        rest = gray.point(lambda value: max(0, value - 30))
        return encoded(Image.merge("RGB", (gray, rest, rest) if red else (rest, rest, gray)), "PNG")

    parts = (("train", 0), ("val", 1))
    pictures = {f"{p}/c{r}/{i}.png": tinted(i, r) for p, r in parts for i in range(20)}
    pictures |= {
        f"{p}/c{1 - r}/{i}.png": tinted(i + 50, 1 - r) for p, r in parts for i in range(20)
    }
    assert {f.kind for f in check_all(seen(pictures, parts=PARTS))} == set()


def test_above_a_number_of_pictures_comparisons_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    from netgraft.tuning.data import comparing

    monkeypatch.setattr(comparing, "MOST_COMPARED", 10)
    assert seen(drawn(8)).copies.compared == 8
    monkeypatch.undo()
    assert seen(drawn(8)).copies.compared == 16


def test_blurred_and_dark_pictures_stand_out_as_notes() -> None:
    pictures = drawn(20)
    pictures["box/0001.jpg"] = encoded(drawing(0, 1).resize((4, 4)).resize((96, 96)))
    pictures["disc/0001.jpg"] = encoded(drawing(1, 1).point(lambda value: value // 40))
    findings = found(pictures)
    assert {kind: each.severity for kind, each in findings.items()} == {
        "blurred": NOTE,
        "dark": NOTE,
    }
    assert "box/0001.jpg" in findings["blurred"].files
    assert findings["dark"].files == ("disc/0001.jpg",)


def test_numbered_classes_are_noted() -> None:
    assert "ids" not in found(drawn(8, ("0", "1", "2")))
    for names in (("1", "2", "3"), ("0", "1", "5"), ("1", "10", "2")):
        assert found(drawn(8, names))["ids"].severity == NOTE


def test_folders_of_folders_are_named() -> None:
    told = seen(drawn(8))
    levels = (("angular", "round"), ("box", "disc"))
    told = replace(told, manifest=replace(told.manifest, levels=levels))
    finding = next(f for f in check_all(told) if f.kind == "nested")
    assert (finding.severity, finding.files) == (WARNING, ("angular", "round"))
    assert "2 names (angular, round)" in finding.sentence


@pytest.mark.parametrize(
    ("head", "files"),
    [
        (Head("resnet18", 1000, edited=False), None),
        (Head("1a2b", 2), None),
        (Head("1a2b", 2, ("disc", "box")), None),
        (Head("1a2b", 3), ("box", "disc")),
        (Head("1a2b", 2, ("box", "cat")), ("disc",)),
    ],
)
def test_a_head_for_other_classes_is_an_error(head: Head, files: tuple[str, ...] | None) -> None:
    findings = {f.kind: f for f in check_all(replace(seen(drawn(8)), head=head))}
    assert (findings["head"].files if "head" in findings else None) == files
    if files:
        assert "netgraft retarget 1a2b --classes 2" in findings["head"].sentence


def test_confident_learning_finds_swapped_labels() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 400)
    logits = random.normal(0, 1, (400, 4)) + 6 * np.eye(4)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = truth.copy()
    swapped = random.choice(400, 20, replace=False)
    labels[swapped] = (labels[swapped] + 1) % 4
    rows = suspects(probabilities, labels)
    right = [row for row, seems in rows if row in swapped and seems == truth[row]]
    assert len(right) >= 17
    assert len(rows) - len(right) <= 3


def test_wrong_labels_come_from_the_probe() -> None:
    told = seen(drawn(8))
    truth = np.asarray(told.manifest.labels)
    probabilities = np.eye(2)[truth] * 0.9 + 0.05
    probabilities[3] = probabilities[3, ::-1]
    probe = OutOfFold(probabilities, range(len(truth)))
    finding = next(
        f for f in check_all(replace(told, out_of_fold=probe)) if f.kind == "wrong_labels"
    )
    assert finding.files == ("box/0003.jpg",)


def test_findings_are_said_in_chinese_and_errors_come_first() -> None:
    pictures = drawn(8) | {"box/0001.jpg": b"", "box/0002.png": encoded(drawing(0, 70))}
    findings = check_all(seen(pictures))
    ranks = [each.severity.rank for each in findings]
    assert ranks == sorted(ranks)
    for each in findings:
        assert not each.sentence.say("zh").isascii()


def test_a_manifest_is_enough_for_what_names_and_classes_show(tmp_path: Path) -> None:
    from netgraft.tuning.data.checks.finding import Seen

    findings = check_all(Seen(manifest(drawn(8, ("box",)))))
    assert [each.kind for each in findings] == ["one_class"]
    assert json.dumps([each.files for each in findings]) == '[["box"]]'
