"""The Agent service as a Ray Serve application."""

from ray import serve

from netgraft.agent.estimates import by_earlier_runs
from netgraft.agent.servicer import AgentServicer
from netgraft.serving.cluster.replicas import REPLICA
from netgraft.serving.servicers import expose
from netgraft.v1 import agent_pb2

Agent = serve.deployment(name="Agent", **REPLICA)(
    expose(AgentServicer, agent_pb2.DESCRIPTOR.services_by_name["Agent"])
)
app = Agent.bind(estimate=by_earlier_runs)
