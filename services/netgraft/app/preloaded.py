"""What a fork server imports before it forks, by names: torch, and what uses it."""

RANKS = (
    "netgraft.models.torch_parts",
    "netgraft.anatomy.anatomy",
    "netgraft.tuning.jobs.planning",
    "netgraft.tuning.workers.rank",
    "netgraft.tuning.workers.run",
    "torchvision.models",
    "torchvision.transforms.v2",
    "torch.utils.tensorboard.writer",
)
"""What trains, and what checks before."""
WORKERS = (
    "netgraft.graph.capture.capture",
    "netgraft.graph.document",
    "netgraft.surgery.symbols",
)
"""What draws and edits, besides."""
PRELOADED = (*RANKS, *WORKERS)
