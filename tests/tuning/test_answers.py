"""Predicting and evaluating with stored models: the same bits as the run that made them."""

import json
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from netgraft.errors import (
    CannotExport,
    CannotMeasure,
    HeadMismatch,
    InvalidValue,
    NotPossible,
    OtherClasses,
    OutsideDataRoots,
    PictureNotFound,
)
from netgraft.library.servicer import ModelsServicer
from netgraft.models.answers import answering
from netgraft.models.export import export
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.data import open_data
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.job import Job, State
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request
from netgraft.tuning.results.pictures import pictures_at, square
from netgraft.tuning.results.predict import predict
from netgraft.tuning.servicer import TuningServicer
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.run import run
from netgraft.v1 import models_pb2, surgery_pb2, tuning_pb2

ALONE = Group(0, 1, torch.device("cpu"))
TINY = "timm/test_resnet@none"
COLOURS = {"blue": (30, 40, 200), "green": (40, 190, 60), "red": (200, 40, 30)}


@pytest.fixture(autouse=True)
def place(state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A data root that holds `colours`, and few threads, because tests run side by side."""
    torch.set_num_threads(1)
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(tmp_path))
    settings.cache_clear()
    colours(tmp_path / "colours")
    return tmp_path


def colours(folder: Path, names: tuple[str, ...] = tuple(COLOURS), number: int = 15) -> Path:
    """Noise around a colour, for each class."""
    for order, name in enumerate(names):
        generator = np.random.default_rng(order)
        (folder / name).mkdir(parents=True)
        for index in range(number):
            mean = np.array(list(COLOURS.values())[order % 3]) + generator.normal(0, 70, 3)
            noise = generator.normal(0, 50, (20 + index, 24, 3))
            pixels = (mean + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index:02d}.png")
    return folder


def retargeted(store: Store, names: tuple[str, ...] = tuple(COLOURS), base: str = TINY) -> Recipe:
    request = surgery_pb2.RetargetModelRequest(model=base, class_names=names)
    return get_recipe(store, SurgeryServicer(store).RetargetModel(request).model.id)


def tuned(store: Store, model: Recipe, data: str, **said: object) -> Job:
    usual = {"epochs": 1, "image_size": 32, "batch_size": 8, "workers": 1, "lr": 0.002}
    request = Request(model.id, data, **(usual | said))
    job = Jobs(store).create(planning.plan(request, Capacity(2, 0), store))
    run(job.id, ALONE, store)
    done = Jobs(store).get(job.id)
    assert done.state is State.SUCCEEDED
    return done


def evaluated(store: Store, model: str, data: str = "", **said: object) -> tuning_pb2.Evaluation:
    request = tuning_pb2.EvaluateRequest(model=model, data=data, **said)
    replies = list(TuningServicer(store).Evaluate(request))
    assert [reply.done for reply in replies] == sorted(reply.done for reply in replies)
    assert replies[-1].done == replies[-1].total == replies[-1].evaluation.pictures
    return replies[-1].evaluation


def shown(store: Store, job: Job) -> tuning_pb2.Evaluation:
    """The figures that the run has kept, with the mistakes in the order of `evaluate`."""
    request = tuning_pb2.GetResultsRequest(job=job.id)
    found = TuningServicer(store).GetResults(request).evaluation
    order = sorted(found.mistakes, key=lambda each: (-each.probability, each.file))
    assert list(found.mistakes) == order
    return found


def asked(store: Store, model: str, **said: object) -> list[tuning_pb2.PredictReply]:
    request = tuning_pb2.PredictRequest(model=model, **said)
    return list(TuningServicer(store).Predict(request))


@pytest.mark.parametrize("strategy", ["full", "probe"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_predicting_what_is_held_out_recounts_to_the_reported_figure(
    store: Store, strategy: str, precision: str
) -> None:
    side = 96 if precision == "bf16" else 32  # in bf16 kernels must fit into their inputs
    model = retargeted(store)
    said = {"strategy": strategy, "precision": precision, "image_size": side}
    job = tuned(store, model, "colours", **said)
    recipe = get_recipe(store, job.result_model)
    manifest = open_data("colours")
    held_out = manifest.indices("held_out")
    # In another order, and together with others.
    order = [*reversed(held_out), *manifest.indices("train")]
    paths = [f"colours/{manifest.names[index]}" for index in order]
    found = list(predict(recipe, pictures_at(paths, settings().roots), store, top=1))
    right = sum(
        each.classes[0].name == manifest.class_names[manifest.labels[index]]
        for each, index in zip(found[: len(held_out)], order, strict=False)
    )
    assert 0 < right < len(held_out)  # noise: some are wrong, so that the count says something
    assert right / len(held_out) == job.metrics["accuracy"]
    figures = evaluated(store, recipe.id)
    assert (figures.correct, figures.pictures) == (right, len(held_out))
    assert {name: getattr(figures, name) for name in ("accuracy", "loss", "macro_f1")} == {
        name: job.metrics[name] for name in ("accuracy", "loss", "macro_f1")
    }
    assert shown(store, job) == figures
    known = answering(recipe)
    assert (known.side, known.precision, known.strategy) == (side, precision, strategy)


def test_classes_are_matched_by_name_in_any_order_and_spelling(store: Store, place: Path) -> None:
    model = retargeted(store, ("Red", "blue", "dark_green"))
    folder = colours(place / "renamed", ("blue", "dark green", "red"))
    found = evaluated(store, model.id, str(folder), part="all")
    assert [each.name for each in found.classes] == ["blue", "dark green", "red"]
    said = {
        reply.name: reply.classes[0].name for reply in asked(store, model.id, paths=[str(folder)])
    }
    same = {"Red": "red", "dark_green": "dark green", "blue": "blue"}
    right = sum(same[name] in path for path, name in said.items())
    assert (found.correct, found.pictures) == (right, 45)
    assert sum(found.confusion) == 45
    assert sum(found.confusion[at] for at in (0, 4, 8)) == right
    assert len(found.mistakes) == 45 - right
    sure = [each.probability for each in found.mistakes]
    assert sure == sorted(sure, reverse=True)
    assert all(each.truth in each.file and each.said != each.truth for each in found.mistakes)


def test_other_classes_are_an_error_that_offers_the_retarget(store: Store, place: Path) -> None:
    with pytest.raises(OtherClasses, match="--class-names blue,green,red"):
        evaluated(store, retargeted(store, ("cat", "dog", "fox")).id, "colours")
    with pytest.raises(HeadMismatch, match=r"netgraft retarget .* --classes 3"):
        evaluated(store, retargeted(store, ("blue", "green")).id, "colours")
    nameless = surgery_pb2.RetargetModelRequest(model=TINY, classes=3)
    model = SurgeryServicer(store).RetargetModel(nameless).model.id
    assert evaluated(store, model, "colours").pictures == 9  # taken to have the data's names


def test_what_cannot_be_evaluated_is_refused_with_what_to_do(store: Store) -> None:
    model = retargeted(store)
    with pytest.raises(NotPossible, match=r"netgraft evaluate .* --data DATA"):
        evaluated(store, model.id)
    with pytest.raises(NotPossible, match="it has: train 36, held_out 9"):
        evaluated(store, model.id, "colours", part="test")
    with pytest.raises(InvalidValue, match="one of"):
        evaluated(store, model.id, "colours", part="validation")
    with pytest.raises(NotPossible, match="segmentation"):
        evaluated(store, "lraspp_mobilenet_v3_large@none", "colours")


def test_a_picture_that_cannot_be_read_is_an_error_of_measuring(store: Store, place: Path) -> None:
    model = retargeted(store)
    (place / "colours/red/00.png").write_bytes(b"no picture")
    with pytest.raises(CannotMeasure, match=r"Nothing can be measured on .*: red/00.png is not"):
        evaluated(store, model.id, "colours", part="all")


def test_a_tuned_model_keeps_its_split_when_pictures_arrive(store: Store, place: Path) -> None:
    job = tuned(store, retargeted(store), "colours")
    before = evaluated(store, job.result_model)
    for name in COLOURS:
        for index in range(20):
            source = place / "colours" / name / f"{index % 15:02d}.png"
            (source.parent / f"new{index}.png").write_bytes(source.read_bytes())
    assert evaluated(store, job.result_model) == before
    assert evaluated(store, job.result_model, "colours") == before
    assert before.accuracy == job.metrics["accuracy"]


def test_pictures_that_cannot_be_read_are_named_and_the_rest_go_on(
    store: Store, place: Path
) -> None:
    model = retargeted(store)
    folder = place / "mixed"
    (folder / "deep").mkdir(parents=True)
    good = (place / "colours" / "red" / "00.png").read_bytes()
    (folder / "a.png").write_bytes(good)
    (folder / "b.png").write_bytes(good[: len(good) // 2])
    (folder / "deep" / "c.png").write_bytes(good)
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(good)
    found = asked(store, model.id, paths=["mixed"], top=2, thumbnails=1)
    found += asked(store, model.id, pictures=[{"name": "sent", "data": good}], top=2)
    names = ["mixed/a.png", "mixed/b.png", "mixed/deep/c.png", "sent"]
    assert sorted(each.name for each in found) == names
    by_name = {each.name: each for each in found}
    assert "b.png is damaged or cut short" in by_name["mixed/b.png"].error
    fine = [each for name, each in by_name.items() if not name.endswith("b.png")]
    assert {str(each.classes) for each in fine} == {str(fine[0].classes)}
    assert len(fine[0].classes) == 2
    assert fine[0].classes[0].probability >= fine[0].classes[1].probability
    assert [each.done for each in found] == [1, 2, 3, 1]
    assert [bool(each.thumbnail) for each in found] == [True, False, False, False]
    assert len(found[0].thumbnail) < 8_000


def test_pictures_are_read_inside_the_data_roots_only(store: Store, tmp_path: Path) -> None:
    model = retargeted(store)
    with pytest.raises(OutsideDataRoots):
        asked(store, model.id, paths=["/etc/hostname"])
    with pytest.raises(PictureNotFound, match=r"'gone\.jpg'"):
        asked(store, model.id, paths=["gone.jpg"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(PictureNotFound, match=r"'empty/\*'"):
        asked(store, model.id, paths=["empty"])
    with pytest.raises(InvalidValue, match="picture or a folder"):
        asked(store, model.id)


def test_a_model_of_the_zoo_answers_with_the_names_of_its_weights(
    store: Store, place: Path, torch_home_with_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(torch_home_with_weights))
    settings.cache_clear()
    (found,) = asked(store, "mobilenet_v2", paths=["colours/red/00.png"])
    assert len(found.classes) == 5
    names = imagenet_names()
    assert all(each.name == names[each.index] for each in found.classes)
    (random,) = asked(store, TINY, paths=["colours/red/00.png"], top=1)
    assert random.classes[0].name


def imagenet_names() -> tuple[str, ...]:
    from torchvision.models import MobileNet_V2_Weights

    return tuple(MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"])


def exported(store: Store, model: str, kind: str, file: Path, **said: bool) -> Path:
    request = models_pb2.ExportModelRequest(model=model, format=kind, **said)
    _, *chunks = ModelsServicer(store).ExportModel(request)
    file.write_bytes(b"".join(chunk.data for chunk in chunks))
    return file


def test_every_exported_file_carries_what_the_model_answers_with_and_answers_as_predict(
    store: Store, place: Path, tmp_path: Path
) -> None:
    job = tuned(store, retargeted(store), "colours", precision="fp32")
    recipe = get_recipe(store, job.result_model)
    path = place / "colours" / "red" / "03.png"
    (found,) = predict(recipe, pictures_at([str(path)], settings().roots), store, top=3)
    expected = {each.name: each.probability for each in found.classes}
    known = answering(recipe)
    (asked_about,) = pictures_at([str(path)], settings().roots)
    pixels = square(asked_about.decoded(known), known)

    def probabilities(answer: object) -> dict[str, float]:
        shares = np.asarray(answer, dtype=np.float64).reshape(-1).tolist()
        return dict(zip(COLOURS, shares, strict=True))

    def check(carried: str, given: str) -> None:
        document = json.loads(carried)
        assert tuple(document["class_names"]) == tuple(COLOURS)
        plain = json.loads(json.dumps(known.plain()))
        assert {name: document[name] for name in plain} == plain
        assert document["answers"] == given

    onnx_file = exported(store, recipe.id, "onnx", tmp_path / "a.onnx", with_preprocessing=True)
    session = onnxruntime.InferenceSession(onnx_file)
    (answer,) = session.run(None, {"pictures": pixels[None].numpy()})
    assert probabilities(answer) == pytest.approx(expected, abs=1e-4)
    check(session.get_modelmeta().custom_metadata_map["netgraft"], "probabilities")

    extra = {"netgraft.json": ""}
    pt2 = exported(store, recipe.id, "pt2", tmp_path / "a.pt2", with_preprocessing=True)
    program = torch.export.load(pt2, extra_files=extra).module()
    with torch.no_grad():
        answer = program(pixels[None])
    assert probabilities(answer) == pytest.approx(expected, abs=1e-4)
    check(extra["netgraft.json"], "probabilities")

    script = exported(store, recipe.id, "torchscript", tmp_path / "a.pt")
    torch.jit.load(script, _extra_files=extra)
    check(bytes(extra["netgraft.json"]).decode(), "logits")

    tensors = exported(store, recipe.id, "safetensors", tmp_path / "a.safetensors")
    with safe_open(tensors, "pt") as file:
        check(file.metadata()["netgraft.answers"], "logits")

    weights = tmp_path / export.file_name(recipe, "state_dict")
    with zipfile.ZipFile(exported(store, recipe.id, "state_dict", weights)) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("extra/netgraft.json"))
        check(archive.read(name).decode(), "logits")
    code: dict[str, object] = {"__file__": str(tmp_path / "rebuild.py")}
    text = exported(store, recipe.id, "python", tmp_path / "rebuild.py").read_text()
    exec(compile(text, "rebuild.py", "exec"), code)
    assert code["classes"] == tuple(COLOURS)
    answer = code["predict"](Image.open(path))  # type: ignore[operator]
    assert probabilities(answer) == pytest.approx(expected, abs=1e-4)


def test_preprocessing_goes_into_onnx_and_pt2_only(store: Store, tmp_path: Path) -> None:
    for kind in ("safetensors", "card"):
        with pytest.raises(CannotExport, match="only onnx and pt2"):
            exported(store, TINY, kind, tmp_path / "file", with_preprocessing=True)
    with pytest.raises(CannotExport, match="whole pictures"):
        detector = "lraspp_mobilenet_v3_large@none"
        exported(store, detector, "onnx", tmp_path / "file", with_preprocessing=True)


def test_a_record_leaves_out_what_the_run_left_out(store: Store, place: Path) -> None:
    (place / "colours" / "blue" / "03.png").write_bytes(b"no picture")
    job = tuned(store, retargeted(store), "colours", skip_bad=0.1)
    whole = evaluated(store, job.result_model, part="all")
    assert whole.pictures == 44
    assert evaluated(store, job.result_model).accuracy == job.metrics["accuracy"]
    assert len(answering(get_recipe(store, job.result_model)).data_hash) == 64


def test_a_probes_model_recounts_too_and_is_calibrated(
    store: Store, torch_home_with_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(torch_home_with_weights))
    settings.cache_clear()
    model = retargeted(store, base="mobilenet_v2@IMAGENET1K_V1")
    left_open = dict.fromkeys(("epochs", "lr", "batch_size"))
    job = tuned(store, model, "colours", strategy="probe", image_size=64, **left_open)
    known = answering(get_recipe(store, job.result_model))
    assert known.strategy == "probe"
    assert known.temperature != 1
    found = evaluated(store, job.result_model)
    figures = ("accuracy", "accuracy_low", "accuracy_high", "loss", "calibration_error")
    assert {name: getattr(found, name) for name in figures} == {
        name: job.metrics[name] for name in figures
    }
