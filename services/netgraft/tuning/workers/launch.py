"""Starting and stopping runs: the Ray job of each submission.

`RayLauncher` needs a Ray that this process is connected to, as a Serve replica is.
"""

import logging
import shlex
import sys
from typing import TYPE_CHECKING

from netgraft.errors import Unreachable
from netgraft.settings import settings
from netgraft.tuning.jobs.launcher import Capacity, NoSubmission

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

logger = logging.getLogger(__name__)

NOT_PASSED_ON = {"token", "database"}
"""Settings that must not stand in a job's description, which Ray's dashboard shows. A worker
gets them from the environment of its node, if at all."""

RUN_ENVIRONMENT = {
    # Without both a stopped job leaves a process behind.
    "RAY_JOB_STOP_SIGNAL": "SIGINT",
    "RAY_JOB_STOP_WAIT_TIME_S": "20",
    # Seconds between the Train controller's polls of its workers: 2 by default, which
    # the end of a run and the restart of a worker wait for.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # Each of these would cost a process or two for every run.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_STATE_ACTOR_RECONCILIATION": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


class RayLauncher:
    """Runs as Ray jobs of the cluster that this process is connected to."""

    def capacity(self) -> Capacity:
        import ray

        if not ray.is_initialized():
            raise Unreachable(address=settings().server)
        resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return Capacity(int(resources.get("CPU", 0)), int(resources.get("GPU", 0)))

    def submit(self, job_id: str, submission: str) -> None:
        import ray

        # Ray gives a job the address of whichever local cluster it finds first; with two on one
        # machine that may be the other, so the run gets its own as an argument.
        address = ray.get_runtime_context().gcs_address
        command = shlex.join(
            [sys.executable, "-m", "netgraft.tuning.workers.entry", job_id, address]
        )
        try:
            self._client().submit_job(
                entrypoint=command,
                submission_id=submission,
                runtime_env={"env_vars": run_environment()},
                metadata={"netgraft_job": job_id},
            )
        except (RuntimeError, ConnectionError) as error:
            raise NoSubmission(str(error)) from error

    def stop(self, submission: str) -> None:
        from ray.job_submission import JobStatus

        try:
            client = self._client()
            if client.get_job_status(submission) in (JobStatus.PENDING, JobStatus.RUNNING):
                client.stop_job(submission)
        except (RuntimeError, ConnectionError) as error:
            raise NoSubmission(str(error)) from error

    def _client(self) -> "JobSubmissionClient":
        import ray
        from ray.job_submission import JobSubmissionClient

        # The control store knows where the dashboard with the jobs API is, on whatever
        # port; the token that Ray asks for is found as by all of Ray's clients.
        return JobSubmissionClient(ray.get_runtime_context().gcs_address)


def run_environment() -> dict[str, str]:
    """Environment of a run: this process's settings, with the folders made absolute."""
    values = settings().model_dump(exclude=NOT_PASSED_ON)
    values["state"] = settings().folder
    values["data_roots"] = ":".join(str(root) for root in settings().roots)
    named = {f"NETGRAFT_{name.upper()}": str(value) for name, value in values.items()}
    return RUN_ENVIRONMENT | named
