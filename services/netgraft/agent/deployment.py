"""The Agent service as a Ray Serve application."""

from ray import serve

from netgraft.agent.servicer import AgentServicer
from netgraft.serving.servicers import expose
from netgraft.v1 import agent_pb2

Agent = serve.deployment(name="Agent", max_ongoing_requests=100, ray_actor_options={"num_cpus": 0})(
    expose(AgentServicer, agent_pb2.DESCRIPTOR.services_by_name["Agent"])
)
app = Agent.bind()
