"""What a fork server imports before it forks."""

PRELOADED = (
    "netgraft.models.torch_parts",
    "netgraft.anatomy.anatomy",
    "netgraft.graph.capture.capture",
    "netgraft.graph.document",
    "netgraft.surgery.symbols",
    "netgraft.tuning.jobs.planning",
    "netgraft.tuning.workers.rank",
)
"""Torch, and what trains, draws and edits."""
