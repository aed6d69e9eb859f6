"""The Tuning service as a Ray Serve application. It starts jobs, which train in other processes."""

from ray import serve

from netgraft.serving.servicers import expose
from netgraft.settings import settings
from netgraft.tuning.jobs.reconcile import Reconciler
from netgraft.tuning.servicer import TuningServicer
from netgraft.v1 import tuning_pb2


class ReconcilingTuningServicer(TuningServicer):
    """The servicer, with a reconciler that runs in the background."""

    def __init__(self) -> None:
        super().__init__()
        Reconciler(self.jobs, self.launcher, settings().silent_seconds).start()


Tuning = serve.deployment(
    name="Tuning", max_ongoing_requests=100, ray_actor_options={"num_cpus": 0}
)(
    expose(
        ReconcilingTuningServicer,
        tuning_pb2.DESCRIPTOR.services_by_name["Tuning"],
        warm="netgraft.tuning.jobs.planning",
    )
)
app = Tuning.bind()
