"""The events of a job, without a gap: a broken connection is made again.

Knows nothing of how events are shown.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from netgraft.cli.failure import is_unreachable
from netgraft.errors import NetgraftError

if TYPE_CHECKING:
    from netgraft.cli.services import Services
    from netgraft.v1 import tuning_pb2

RECONNECT_SECONDS = 60.0
"""How long to try to reach a server that went away in the middle of a job."""
PAUSE_SECONDS = 1.0


def ended(state: int) -> bool:
    """Return whether a job in this state has ended."""
    from netgraft.v1 import tuning_pb2

    return state in (
        tuning_pb2.JOB_STATE_SUCCEEDED,
        tuning_pb2.JOB_STATE_FAILED,
        tuning_pb2.JOB_STATE_CANCELLED,
        tuning_pb2.JOB_STATE_PAUSED,
    )


def follow(services: "Services", job: str, after_seq: int = 0) -> "Iterator[tuning_pb2.JobEvent]":
    """Yield the events after `after_seq`, in order, each once, until the job has ended.

    Raises Unreachable when the server never answered, or did not for RECONNECT_SECONDS seconds.
    """
    from netgraft.v1 import tuning_pb2

    seen, last_heard = after_seq, None
    while True:
        request = tuning_pb2.WatchJobRequest(id=job, after_seq=seen)
        try:
            for event in services.tuning.WatchJob(request):
                seen, last_heard = event.seq, time.monotonic()
                yield event
            if ended(services.tuning.GetJob(tuning_pb2.GetJobRequest(id=job)).state):
                return
        except NetgraftError as error:
            if not is_unreachable(error) or last_heard is None:
                raise
            if time.monotonic() - last_heard > RECONNECT_SECONDS:
                raise
        time.sleep(PAUSE_SECONDS)
