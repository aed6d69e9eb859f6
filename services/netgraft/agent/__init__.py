"""The agent: sentences become Plans, Plans are carried out over gRPC with the caller's token.

A `planner` (such as `rules`) makes typed `steps`, `validation` checks them, `forms` turns them
into JSON and protobuf and back, `consent` guards those that need it, `run` carries them out with
`handlers`, and `conversation` and `record` keep what was said and done.

Knows nothing of torch, Ray and the internals of the other packages: it can do nothing that
its caller could not do by calling the other services.
"""

from netgraft.agent.batch import plan_batch, plan_lines

__all__ = ["plan_batch", "plan_lines"]
