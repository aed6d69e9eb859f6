"""The agent: sentences become Plans, Plans are carried out over gRPC with the caller's token.

Knows nothing of torch, Ray and the other slices' insides: it can do nothing that
its caller could not do by calling the other services.
"""

from netgraft.agent.batch import plan_batch, plan_lines

__all__ = ["plan_batch", "plan_lines"]
