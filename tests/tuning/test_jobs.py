"""A job's life: durable, gapless, and held by one run at a time."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from netgraft.errors import (
    DiskFull,
    JobNotResumable,
    JobNotRunning,
    TrainingFailed,
    UnknownJob,
)
from netgraft.store.store import Store
from netgraft.tuning.jobs import reconcile
from netgraft.tuning.jobs.events import Event, Kind
from netgraft.tuning.jobs.job import Job, State
from netgraft.tuning.jobs.jobs import Jobs, Superseded
from netgraft.tuning.jobs.launcher import Capacity, NoSubmission
from netgraft.tuning.jobs.reconcile import MOST_LOSSES, Reconciler, submit
from netgraft.tuning.jobs.spec import ResolvedSpec


def every_event(jobs: Jobs, job_id: str) -> list[Event]:
    return jobs.events_after(job_id, 0)[1]


def states(jobs: Jobs, job_id: str) -> list[str]:
    return [event.state for event in every_event(jobs, job_id) if event.kind is Kind.STATE]


def test_a_new_job_is_queued_and_keeps_its_whole_spec(jobs: Jobs, resolved: ResolvedSpec) -> None:
    job = jobs.create(resolved)
    assert job.id.startswith("tune-")
    assert (job.state, job.attempt, job.resolved) == (State.QUEUED, 1, resolved)
    assert job.last_event is not None
    assert (job.last_event.seq, job.last_event.state) == (1, "queued")


def test_a_job_survives_the_process_that_made_it(
    store: Store, jobs: Jobs, resolved: ResolvedSpec
) -> None:
    job = jobs.create(resolved)
    again = Jobs(Store(store.folder, str(store.engine.url)))
    assert again.get(job.id) == job


def test_an_unknown_job_is_reported_as_such(jobs: Jobs) -> None:
    for ask in (jobs.get, jobs.ask_cancel, jobs.resume, lambda j: jobs.events_after(j, 0)):
        with pytest.raises(UnknownJob, match="tune-nothing"):
            ask("tune-nothing")


def test_a_run_goes_from_queued_through_running_to_succeeded(
    jobs: Jobs, resolved: ResolvedSpec
) -> None:
    job = jobs.create(resolved)
    attempt = jobs.begin(job.id)
    chosen = replace(resolved, spec=replace(resolved.spec, precision="bf16", threads=2))
    jobs.trains(job.id, attempt, chosen)
    assert jobs.get(job.id).resolved == chosen
    jobs.record(job.id, attempt, [Event(Kind.EPOCH, step=4, metrics={"accuracy": 0.5})])
    jobs.succeed(job.id, attempt, "f" * 64, {"accuracy": 0.5, "loss": 1.0})
    ended = jobs.get(job.id)
    assert (ended.state, ended.result_model) == (State.SUCCEEDED, "f" * 64)
    assert ended.metrics == {"accuracy": 0.5, "loss": 1.0}
    assert states(jobs, job.id) == ["queued", "preparing", "running", "succeeded"]
    assert ended.created <= (ended.started or 0) <= (ended.ended or 0)


def test_events_keep_all_they_were_given(jobs: Jobs, resolved: ResolvedSpec) -> None:
    job = jobs.create(resolved)
    attempt = jobs.begin(job.id)
    given = Event(Kind.STEP, step=3, total_steps=9, epoch=1, total_epochs=2, loss=0.5, lr=1e-3)
    jobs.record(job.id, attempt, [given])
    stored = every_event(jobs, job.id)[-1]
    assert (stored.step, stored.total_steps, stored.loss, stored.lr) == (3, 9, 0.5, 1e-3)
    assert (stored.attempt, stored.time) == (1, given.time)


def test_numbers_have_no_gap_when_several_processes_write(
    store: Store, resolved: ResolvedSpec
) -> None:
    job = Jobs(store).create(resolved)
    attempt = Jobs(store).begin(job.id)

    def write() -> None:
        own = Jobs(Store(store.folder, str(store.engine.url)))
        for step in range(25):
            own.record(job.id, attempt, [Event(Kind.STEP, step=step), Event(Kind.NOTE)])

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen: list[int] = []
    while found := Jobs(store).events_after(job.id, seen[-1] if seen else 0)[1]:
        seen += [event.seq for event in found]
    assert seen == list(range(1, 203))


def test_workers_that_start_again_begin_another_attempt(jobs: Jobs, resolved: ResolvedSpec) -> None:
    job = jobs.create(resolved)
    assert [jobs.begin(job.id), jobs.begin(job.id)] == [1, 2]
    assert jobs.get(job.id).attempt == 2
    assert any("started again" in event.message for event in every_event(jobs, job.id))


def test_a_run_that_was_given_up_can_write_nothing_more(jobs: Jobs, resolved: ResolvedSpec) -> None:
    job = jobs.create(resolved)
    old = jobs.begin(job.id)
    assert jobs.begin(job.id) == 2
    before = every_event(jobs, job.id)
    attempts: list[Callable[[], object]] = [
        lambda: jobs.record(job.id, old, [Event(Kind.NOTE, message="ghost")]),
        lambda: jobs.succeed(job.id, old, "f" * 64, {}),
        lambda: jobs.stop(job.id, old),
        lambda: jobs.trains(job.id, old, resolved),
    ]
    for write in attempts:
        with pytest.raises(Superseded):
            write()
    jobs.fail(job.id, old, TrainingFailed(problem="ghost"))
    assert every_event(jobs, job.id) == before
    assert jobs.get(job.id).state is State.PREPARING


def test_a_request_to_cancel_reaches_the_run_with_its_next_record(
    jobs: Jobs, resolved: ResolvedSpec
) -> None:
    job = jobs.create(resolved)
    attempt = jobs.begin(job.id)
    assert jobs.record(job.id, attempt, []) is False
    jobs.ask_cancel(job.id)
    assert jobs.record(job.id, attempt, []) is True
    jobs.stop(job.id, attempt)
    with pytest.raises(JobNotRunning, match="cancelled"):
        jobs.ask_cancel(job.id)


def test_only_what_was_cancelled_or_failed_is_resumed(jobs: Jobs, resolved: ResolvedSpec) -> None:
    job = jobs.create(resolved)
    with pytest.raises(JobNotResumable, match="queued"):
        jobs.resume(job.id)
    attempt = jobs.begin(job.id)
    jobs.fail(job.id, attempt, TrainingFailed(problem="bad luck."))
    failed = jobs.get(job.id)
    assert (failed.state, failed.error_reason) == (State.FAILED, "TRAINING_FAILED")
    assert "bad luck" in failed.error_message
    again = jobs.resume(job.id)
    assert (again.state, again.attempt, again.error_reason) == (State.QUEUED, 2, "")
    assert jobs.begin(job.id) == 2
    jobs.succeed(job.id, 2, "f" * 64, {})
    with pytest.raises(JobNotResumable, match="succeeded"):
        jobs.resume(job.id)


def test_a_full_disk_pauses_a_job_which_can_then_be_resumed_or_found(
    jobs: Jobs, resolved: ResolvedSpec
) -> None:
    job = jobs.create(resolved)
    jobs.fail(job.id, jobs.begin(job.id), DiskFull(folder="/some/folder"))
    paused = jobs.get(job.id)
    assert (paused.state, paused.error_reason) == (State.PAUSED, "DISK_FULL")
    assert "/some/folder" in paused.error_message
    assert not paused.alive
    assert [each.id for each in jobs.newest(State.PAUSED)] == [job.id]
    assert jobs.resume(job.id).state is State.QUEUED


def test_jobs_are_listed_newest_first_and_by_state(jobs: Jobs, resolved: ResolvedSpec) -> None:
    first, second, third = (jobs.create(resolved) for _ in range(3))
    jobs.end(second.id, State.CANCELLED)
    assert [job.id for job in jobs.newest()] == [third.id, second.id, first.id]
    assert [job.id for job in jobs.newest(State.CANCELLED)] == [second.id]
    assert len(jobs.newest(limit=1)) == 1
    assert jobs.newest(State.CANCELLED)[0].last_event == every_event(jobs, second.id)[-1]


class Cluster:
    """A launcher that notes what it is asked for; product code takes any."""

    def __init__(self, reachable: bool = True) -> None:
        self.reachable = reachable
        self.submitted: list[str] = []
        self.stopped: list[str] = []

    def capacity(self) -> Capacity:
        return Capacity(2, 0)

    def submit(self, job_id: str, submission: str) -> None:
        if not self.reachable:
            raise NoSubmission("no route")
        self.submitted.append(submission)

    def stop(self, submission: str) -> None:
        self.stopped.append(submission)


def reconciled(jobs: Jobs, cluster: Cluster, job: Job) -> Job:
    """One check by a reconciler that takes every job for silent too long."""
    time.sleep(0.01)
    Reconciler(jobs, cluster, silent_seconds=0).check()
    return jobs.get(job.id)


def test_every_submission_has_a_name_of_its_own(jobs: Jobs, resolved: ResolvedSpec) -> None:
    cluster = Cluster()
    job = jobs.create(resolved)
    submit(job, jobs, cluster)
    jobs.fail(job.id, jobs.begin(job.id), TrainingFailed(problem="x"))
    submit(jobs.resume(job.id), jobs, cluster)
    assert cluster.submitted == [job.id, f"{job.id}-2"]
    assert jobs.get(job.id).submission == f"{job.id}-2"


def test_a_lost_run_is_started_again_as_the_next_attempt(
    jobs: Jobs, resolved: ResolvedSpec
) -> None:
    cluster = Cluster()
    job = jobs.create(resolved)
    submit(job, jobs, cluster)
    jobs.begin(job.id)
    again = reconciled(jobs, cluster, job)
    assert (again.state, again.attempt) == (State.QUEUED, 2)
    assert cluster.submitted == [job.id, f"{job.id}-2"]
    assert cluster.stopped == [job.id]
    assert jobs.begin(job.id) == 2


def test_a_run_that_shows_life_is_left_alone(jobs: Jobs, resolved: ResolvedSpec) -> None:
    cluster = Cluster()
    job = jobs.create(resolved)
    submit(job, jobs, cluster)
    assert jobs.beat(job.id, job.id)
    Reconciler(jobs, cluster, silent_seconds=60).check()
    assert cluster.submitted == [job.id]


def test_a_job_that_could_not_be_submitted_is_submitted_later(
    jobs: Jobs, resolved: ResolvedSpec
) -> None:
    job = jobs.create(resolved)
    submit(job, jobs, Cluster(reachable=False))
    assert jobs.get(job.id).state is State.QUEUED
    cluster = Cluster()
    reconciled(jobs, cluster, job)
    assert cluster.submitted == [f"{job.id}-2"]


def test_a_job_that_ray_did_not_take_is_offered_again_and_loses_no_start(
    jobs: Jobs, resolved: ResolvedSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.create(resolved)
    submit(job, jobs, Cluster(reachable=False))
    cluster = Cluster()
    Reconciler(jobs, cluster, silent_seconds=60).check()
    assert cluster.submitted == [], "at once would be a storm"
    monkeypatch.setattr(reconcile, "RETRY_SECONDS", 0)
    time.sleep(0.01)
    Reconciler(jobs, cluster, silent_seconds=60).check()
    Reconciler(jobs, cluster, silent_seconds=60).check()
    assert cluster.submitted == [job.id]
    assert jobs.get(job.id).attempt == 1


def test_a_run_that_is_lost_three_times_fails_with_a_sentence(
    jobs: Jobs, resolved: ResolvedSpec
) -> None:
    cluster = Cluster()
    job = jobs.create(resolved)
    submit(job, jobs, cluster)
    for _ in range(MOST_LOSSES - 1):
        assert reconciled(jobs, cluster, job).state is State.QUEUED
    failed = reconciled(jobs, cluster, job)
    assert (failed.state, failed.error_reason) == (State.FAILED, "TRAINING_FAILED")
    assert "memory is short" in failed.error_message
    assert f"`netgraft resume {job.id}`" in failed.error_message
    assert len(cluster.submitted) == MOST_LOSSES


def test_losses_never_end_a_run_that_makes_progress(jobs: Jobs, resolved: ResolvedSpec) -> None:
    cluster = Cluster()
    job = jobs.create(resolved)
    submit(job, jobs, cluster)
    for step in range(1, 3 * MOST_LOSSES):
        jobs.record(job.id, jobs.begin(job.id), [Event(Kind.CHECKPOINT, step=step)])
        assert reconciled(jobs, cluster, job).state is State.QUEUED
    assert jobs.losses(job.id) == 1


def test_the_same_checkpoint_again_is_no_progress(jobs: Jobs, resolved: ResolvedSpec) -> None:
    cluster = Cluster()
    job = jobs.create(resolved)
    submit(job, jobs, cluster)
    for state in (State.QUEUED, State.QUEUED, State.FAILED):
        jobs.record(job.id, jobs.begin(job.id), [Event(Kind.CHECKPOINT, step=7)])
        assert reconciled(jobs, cluster, job).state is state


def test_who_resumes_a_job_forgives_its_losses(jobs: Jobs, resolved: ResolvedSpec) -> None:
    cluster = Cluster()
    job = jobs.create(resolved)
    for _ in range(MOST_LOSSES):
        reconciled(jobs, cluster, job)
    assert jobs.get(job.id).state is State.FAILED
    jobs.resume(job.id)
    assert jobs.losses(job.id) == 0
    assert reconciled(jobs, cluster, job).state is State.QUEUED


def test_a_lost_run_that_was_to_be_cancelled_is_cancelled(
    jobs: Jobs, resolved: ResolvedSpec
) -> None:
    cluster = Cluster()
    job = jobs.create(resolved)
    submit(job, jobs, cluster)
    jobs.ask_cancel(job.id)
    assert reconciled(jobs, cluster, job).state is State.CANCELLED


def test_two_reconcilers_start_a_lost_run_once(jobs: Jobs, resolved: ResolvedSpec) -> None:
    job = jobs.create(resolved)
    assert [jobs.claim(job), jobs.claim(job)] == [True, False]


def test_the_driver_of_an_older_submission_learns_it(jobs: Jobs, resolved: ResolvedSpec) -> None:
    cluster = Cluster()
    job = jobs.create(resolved)
    submit(job, jobs, cluster)
    reconciled(jobs, cluster, job)
    assert jobs.beat(job.id, job.id) is False
    assert jobs.beat(job.id, f"{job.id}-2") is True
    assert jobs.get(job.id).state is State.QUEUED
