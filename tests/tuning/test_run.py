"""One worker's whole work on a job, in-process, with tiny real models on the real digits."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from netgraft.errors import InvalidData, TrainingFailed
from netgraft.models.build import build
from netgraft.models.edits.retarget import Retarget
from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe, put_recipe
from netgraft.models.values import drawn_names
from netgraft.store import gradients
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.data import open_data
from netgraft.tuning.data.pixels import PictureExamples
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.events import Event, Kind
from netgraft.tuning.jobs.job import Job, State
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request
from netgraft.tuning.results import tensorboard
from netgraft.tuning.train import checkpoint
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.run import run
from netgraft.tuning.workers.worker import as_final, carry_out, space_for_the_end
from netgraft.v1 import surgery_pb2

ALONE = Group(0, 1, torch.device("cpu"))


@pytest.fixture(autouse=True)
def one_thread(state: Path) -> None:
    """Few threads, because tests run side by side; a state folder of its own."""
    torch.set_num_threads(1)


@pytest.fixture
def model(store: Store) -> Recipe:
    request = surgery_pb2.RetargetModelRequest(model="timm/test_resnet@none", classes=10)
    return get_recipe(store, SurgeryServicer(store).RetargetModel(request).model.id)


def job_for(store: Store, model: Recipe, **said: object) -> Job:
    usual = {"epochs": 1, "image_size": 16, "batch_size": 64, "workers": 1, "precision": "fp32"}
    request = Request(model.id, "digits", **(usual | said))
    return Jobs(store).create(planning.plan(request, Capacity(2, 0), store))


def every_event(jobs: Jobs, job_id: str) -> list[Event]:
    return jobs.events_after(job_id, 0)[1]


def test_a_run_ends_with_a_tuned_model_and_its_measured_accuracy(
    store: Store, jobs: Jobs, model: Recipe, state: Path
) -> None:
    job = job_for(store, model, epochs=4, image_size=32, lr=0.004)
    run(job.id, ALONE, store)
    done = jobs.get(job.id)
    assert done.state is State.SUCCEEDED
    assert done.metrics["accuracy"] > 0.6
    tuned = get_recipe(store, done.result_model)
    edit = tuned.edits[-1]
    assert isinstance(edit, Tuned)
    assert (edit.job, edit.class_names) == (job.id, tuple("0123456789"))
    assert (tuned.parent, tuned.metrics) == (model, done.metrics)
    assert measured(store, tuned, 32) == pytest.approx(done.metrics["accuracy"])
    shown = EventAccumulator(str(tensorboard.folder(job.id))).Reload().Tags()
    assert {"train/loss", "held_back/accuracy", "held_out/accuracy"} <= set(shown["scalars"])
    assert {tag.partition("/")[0] for tag in shown["images"]} >= {"held_out", "mistakes"}
    assert shown["graph"]
    assert "card/text_summary" in shown["tensors"]
    assert not [path for path in tensorboard.folder(job.id).iterdir() if path.stat().st_mode & 0o77]
    norms = gradients.read(store, tuned.id)
    assert norms.keys() == {name for name, _ in build(tuned, store).named_parameters()}
    assert sum(norms.values()) > 0


def test_a_run_of_a_model_with_adapters_keeps_these_and_the_head_and_nothing_else(
    store: Store, jobs: Jobs, model: Recipe
) -> None:
    request = surgery_pb2.AddLoraRequest(model=model.id, rank=2)
    adapted = get_recipe(store, SurgeryServicer(store).AddLora(request).model.id)
    job = job_for(store, adapted, lr=0.01)
    run(job.id, ALONE, store)
    edit = get_recipe(store, jobs.get(job.id).result_model).edits[-1]
    assert isinstance(edit, Tuned)
    kept = store.get_tensors(edit.tensors).keys()
    assert {name for name in kept if ".lora_" not in name} == {"fc.weight", "fc.bias"}
    assert len(kept) > 10


def measured(store: Store, recipe: Recipe, side: int) -> float:
    """Accuracy on the held-out examples, computed independently of the run."""
    from netgraft.models import bases

    preprocessing = bases.preprocessing(recipe.base)
    mean, std = (torch.tensor(v)[:, None, None] for v in (preprocessing.mean, preprocessing.std))
    examples = PictureExamples(open_data("digits"), "held_out", side)
    pairs = [examples.get(index) for index in range(len(examples))]
    x_NCHW = torch.stack([(x_CHW / 255 - mean) / std for x_CHW, _ in pairs])
    labels_N = torch.tensor([label for _, label in pairs])
    with torch.no_grad():
        logits_NK = build(recipe, store).eval()(x_NCHW)
    return float((logits_NK.argmax(1) == labels_N).float().mean())


def test_a_run_records_its_events_in_order(store: Store, jobs: Jobs, model: Recipe) -> None:
    job = job_for(store, model, epochs=2)
    run(job.id, ALONE, store)
    story = every_event(jobs, job.id)
    assert [event.seq for event in story] == list(range(1, len(story) + 1))
    assert [e.state for e in story if e.kind is Kind.STATE] == [
        *("queued", "preparing", "running", "succeeded")
    ]
    epochs = [event for event in story if event.kind is Kind.EPOCH]
    assert [(e.epoch, e.step, e.total_steps) for e in epochs] == [(1, 19, 38), (2, 38, 38)]
    assert set(epochs[0].metrics) == {"held_back_accuracy", "held_back_loss"}
    steps = [event for event in story if event.kind is Kind.STEP]
    assert steps
    assert all(e.loss > 0 and e.lr > 0 and e.images_per_second > 0 for e in steps[1:])
    assert [e.step for e in steps] == sorted({e.step for e in steps})
    assert len([e for e in story if e.kind is Kind.CHECKPOINT]) == 2


def test_only_tensors_that_changed_are_stored(store: Store, jobs: Jobs, model: Recipe) -> None:
    job = job_for(store, model, strategy="probe")
    run(job.id, ALONE, store)
    edit = get_recipe(store, jobs.get(job.id).result_model).edits[-1]
    assert isinstance(edit, Tuned)
    assert set(store.get_tensors(edit.tensors)) == {"fc.weight", "fc.bias"}


def test_what_was_drawn_is_stored_whether_training_changed_it_or_not(
    store: Store, jobs: Jobs, model: Recipe
) -> None:
    layer = surgery_pb2.ReplaceModuleRequest(model=model.id, path="bn1", type="GroupNorm")
    layer.arguments["num_groups"].number_value = 4
    layer.arguments["num_channels"].number_value = 32
    replaced = get_recipe(store, SurgeryServicer(store).ReplaceModule(layer).model.id)
    job = job_for(store, replaced, strategy="probe")
    run(job.id, ALONE, store)
    result = get_recipe(store, jobs.get(job.id).result_model)
    edit = result.edits[-1]
    assert isinstance(edit, Tuned)
    drawn = {"fc.weight", "fc.bias", "bn1.weight", "bn1.bias"}
    assert set(store.get_tensors(edit.tensors)) == drawn == drawn_names(replaced)
    assert not drawn_names(result)


def test_running_statistics_belong_to_what_is_stored(
    store: Store, jobs: Jobs, model: Recipe
) -> None:
    job = job_for(store, model)
    run(job.id, ALONE, store)
    edit = get_recipe(store, jobs.get(job.id).result_model).edits[-1]
    assert isinstance(edit, Tuned)
    assert any(name.endswith("running_var") for name in store.get_tensors(edit.tensors))


def tensors_of(store: Store, jobs: Jobs, job: Job) -> str:
    """Digest of what a job changed: equal when every number is."""
    edit = get_recipe(store, jobs.get(job.id).result_model).edits[-1]
    assert isinstance(edit, Tuned)
    return edit.tensors


def test_a_seed_gives_the_same_numbers_again(store: Store, jobs: Jobs, model: Recipe) -> None:
    same, again, other = (job_for(store, model, seed=seed) for seed in (3, 3, 4))
    for job in (same, again, other):
        run(job.id, ALONE, store)
    assert tensors_of(store, jobs, same) == tensors_of(store, jobs, again)
    assert tensors_of(store, jobs, same) != tensors_of(store, jobs, other)


def cancel_at(jobs: Jobs, job_id: str, step: int) -> None:
    """Ask to cancel as soon as the job reports that step."""
    while jobs.get(job_id).last_event.step < step:  # type: ignore[union-attr]
        time.sleep(0.02)
    jobs.ask_cancel(job_id)


def test_a_cancelled_run_resumes_to_the_weights_of_an_undisturbed_one(
    store: Store, jobs: Jobs, model: Recipe
) -> None:
    undisturbed = job_for(store, model, epochs=6)
    run(undisturbed.id, ALONE, store)
    job = job_for(store, model, epochs=6)
    canceller = threading.Thread(target=cancel_at, args=(jobs, job.id, 8))
    canceller.start()
    run(job.id, ALONE, store)
    canceller.join()
    cancelled = jobs.get(job.id)
    assert cancelled.state is State.CANCELLED
    stopped_at = max(e.step for e in every_event(jobs, job.id) if e.kind is Kind.CHECKPOINT)
    assert 8 <= stopped_at < 114
    jobs.resume(job.id)
    run(job.id, ALONE, store)
    done = jobs.get(job.id)
    assert (done.state, done.attempt) == (State.SUCCEEDED, 2)
    later = [e for e in every_event(jobs, job.id) if e.attempt == 2 and e.kind is Kind.STEP]
    assert min(e.step for e in later) > stopped_at
    assert tensors_of(store, jobs, job) == tensors_of(store, jobs, undisturbed)


def test_a_job_that_has_ended_is_not_run_again(store: Store, jobs: Jobs, model: Recipe) -> None:
    job = job_for(store, model)
    jobs.end(job.id, State.CANCELLED)
    run(job.id, ALONE, store)
    assert jobs.get(job.id).state is State.CANCELLED
    assert [e.kind for e in every_event(jobs, job.id)] == [Kind.STATE, Kind.STATE]


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(store: Store) -> None:
    for step in (1, 2, 3):
        checkpoint.save(store, "tune-x", step, {"step": step, "w": torch.ones(step)})
    files = sorted((Path(store.root) / "runs" / "tune-x").iterdir())
    assert len(files) == checkpoint.KEPT
    files[-1].write_bytes(files[-1].read_bytes()[:100])
    state = checkpoint.newest(store, "tune-x")
    assert state is not None
    assert state["step"] == 2
    assert checkpoint.newest(store, "tune-y") is None


def test_numbers_that_are_none_end_the_job_with_a_sentence(
    store: Store, jobs: Jobs, model: Recipe
) -> None:
    edit = model.edits[-1]
    assert isinstance(edit, Retarget)
    assert edit.draw is not None
    head = {tensor.name: torch.full(tensor.shape, torch.nan) for tensor in edit.draw.tensors}
    sick = replace(model, edits=(replace(edit, tensors=store.put_tensors(head), draw=None),))
    put_recipe(store, sick)
    job = job_for(store, sick)
    with pytest.raises(TrainingFailed, match=r"loss became nan.*was a weight of fc\."):
        run(job.id, ALONE, store)


def test_an_error_of_the_data_ends_the_job_and_names_it(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    from netgraft.settings import settings
    from netgraft.store.store import default_store

    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(tmp_path))
    settings.cache_clear()
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for index in range(10):
            Image.new("RGB", (40, 40)).save(tmp_path / "pets" / name / f"{index}.png")
    store = default_store()
    jobs = Jobs(store)
    request = surgery_pb2.RetargetModelRequest(model="timm/test_resnet@none", classes=2)
    model = SurgeryServicer(store).RetargetModel(request).model.id
    request = Request(model, "pets", epochs=2, image_size=32, workers=1, batch_size=8)
    job = jobs.create(planning.plan(request, Capacity(2, 0), store))
    for path in (tmp_path / "pets" / "dog").iterdir():
        path.write_bytes(b"turned bad after the check")
    with pytest.raises(InvalidData):
        carry_out(job.id, ALONE)
    failed = jobs.get(job.id)
    assert (failed.state, failed.error_reason) == (State.FAILED, "INVALID_DATA")
    assert "dog/0.png, dog/1.png" in failed.error_message
    assert "have changed since they were agreed upon, 10 pictures in all" in failed.error_message
    assert "Traceback" not in failed.error_message


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (OSError(28, "No space left on device"), "DISK_FULL"),
        (torch.OutOfMemoryError("out of memory"), "TRAINING_FAILED"),
        (InvalidData(data="x", problem="y"), "INVALID_DATA"),
    ],
)
def test_errors_that_would_come_again_end_a_job_in_words(failure: Exception, reason: str) -> None:
    final = as_final(failure)
    assert final is not None
    assert final.reason == reason


def test_a_run_holds_room_on_the_disk_for_its_last_words(state: Path) -> None:
    reserve = state / "runs" / "tune-x" / "reserve"
    with space_for_the_end("tune-x", ALONE):
        assert reserve.stat().st_blocks * 512 >= 2**20
    assert not reserve.exists()


def test_memory_that_a_cpu_cannot_have_ends_a_job_in_words() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**52, dtype=torch.uint8)
    for failure in (raised.value, MemoryError()):
        final = as_final(failure)
        assert final is not None
        assert "smaller batch" in final.sentence()


def test_a_lost_connection_is_worth_another_start() -> None:
    assert as_final(ConnectionResetError()) is None
    assert as_final(RuntimeError("Connection closed by peer")) is None
