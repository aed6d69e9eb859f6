"""The Tuning service as a Ray Serve application. It starts jobs, which train in other processes."""

from ray import serve

from netgraft.models.torch_ready import keep_torch_out
from netgraft.serving.cluster.machine import Cluster
from netgraft.serving.cluster.relay import Relay
from netgraft.serving.cluster.replicas import NODE, REPLICA, WORKER
from netgraft.serving.cluster.run import Parts
from netgraft.serving.forks.cores import usable_cores
from netgraft.serving.local.workers import Workers
from netgraft.serving.servicers import expose
from netgraft.settings import settings
from netgraft.tuning.jobs.reconcile import Reconciler
from netgraft.tuning.servicer import TuningServicer
from netgraft.tuning.workers.local import LocalLauncher, Watch
from netgraft.v1 import tuning_pb2

PARTS = Parts(
    node=NODE,
    rank="netgraft.tuning.workers.rank:work",
    spread="netgraft.tuning.workers.distribute:spread",
    beat="netgraft.tuning.workers.pulse:show_life",
)
QUIET_SECONDS = 6.0
"""Without a heartbeat, after which a job whose run this cluster does not know has none: not another
cluster's either, as there are two while a RayService is upgraded."""


class ClusterTuningServicer(TuningServicer):
    """The servicer on Ray, without torch. What becomes of runs that are lost is decided here."""

    def __init__(self) -> None:
        keep_torch_out()
        self.cluster = Cluster(PARTS)
        launcher = LocalLauncher(self.cluster)
        super().__init__(launcher=launcher)
        seconds = settings().silent_seconds
        Reconciler(self.jobs, launcher, seconds, waits=self.cluster.lives).start()
        Watch(launcher, quiet_seconds=QUIET_SECONDS).start()


def elsewhere(servicer: ClusterTuningServicer) -> Workers:
    """The tensor workers of the replica's node, as many as it has cores."""
    relay = Relay(servicer.cluster, NODE, WORKER)
    return Workers(relay, usable_cores(), stay=False)


Tuning = serve.deployment(name="Tuning", **REPLICA)(
    expose(
        ClusterTuningServicer,
        tuning_pb2.DESCRIPTOR.services_by_name["Tuning"],
        elsewhere=elsewhere,
    )
)
app = Tuning.bind()
