"""torch.distributed among Ray Train's workers, set up by processes that have no torch.

Ray's own `TorchTrainer` imports torch where it is named: in the driver and in the controller,
two seconds of a core each before a run starts. This does what its backend does, in the workers.
"""

from dataclasses import dataclass
from typing import Any

from ray.train.backend import Backend, BackendConfig

END_SECONDS = 30
"""How long the workers may take to leave the group, as in Ray."""


@dataclass
class ProcessGroup(BackendConfig):
    """A process group of all workers."""

    transport: str = "gloo"
    """torch's name of what carries it: "gloo" or "nccl"."""

    @property
    def backend_cls(self) -> type[Backend]:
        return _Around


class _Around(Backend):
    """The controller's part: it has the workers join when they have started, and leave."""

    share_cuda_visible_devices = True

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        import ray
        from ray.train._internal.utils import get_address_and_port

        assert isinstance(backend_config, ProcessGroup)
        host, port = worker_group.execute_single(0, get_address_and_port)
        near = f"[{host}]" if ":" in host else host
        size = len(worker_group)
        joined = [
            worker_group.execute_single_async(
                rank, _join, backend_config.transport, f"tcp://{near}:{port}", rank, size
            )
            for rank in range(size)
        ]
        ray.get(joined)

    def on_shutdown(self, worker_group: Any, backend_config: BackendConfig) -> None:
        import ray

        # Whoever has not left by then is ended with its process.
        ray.wait(
            worker_group.execute_async(_leave), num_returns=len(worker_group), timeout=END_SECONDS
        )


def _join(transport: str, address: str, rank: int, size: int) -> None:
    """Become a member, in a worker."""
    from ray.train.torch.config import _set_torch_distributed_env_vars, _setup_torch_process_group

    _set_torch_distributed_env_vars()  # type: ignore[no-untyped-call]
    _setup_torch_process_group(transport, rank, size, address)


def _leave() -> None:
    """Leave the group, in a worker."""
    from torch import distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()
