"""What every Serve deployment of ours has in common."""

from typing import Any

REPLICA: dict[str, Any] = {
    "max_ongoing_requests": 100,
    # Calls may take so long to end when a replica ends: a watched job's stream takes all of it.
    "graceful_shutdown_timeout_s": 2.0,
    "graceful_shutdown_wait_loop_s": 0.1,
    # Replicas wait more than they compute; the cores are for runs.
    "ray_actor_options": {"num_cpus": 0},
}

NODE = "netgraft.app.node"
"""The module of a node's fork server."""
WORKER = f"{NODE}:answer"
"""What the tensor workers of a replica without torch do."""
