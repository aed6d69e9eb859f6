"""TensorBoard event files of a run: `STATE/runs/JOB/tensorboard`."""

from pathlib import Path

from netgraft import private
from netgraft.settings import settings
from netgraft.tuning.jobs.events import Event, Kind


def runs() -> Path:
    """The folder of all runs."""
    return settings().folder / "runs"


def folder(job_id: str) -> Path:
    """The folder of a run's event files."""
    return runs() / job_id / "tensorboard"


def is_figure(event: Event) -> bool:
    """Return whether an event has a place in a curve."""
    return event.kind in (Kind.STEP, Kind.EPOCH)


class Board:
    """Writes events as scalars. Make it in the thread that uses it: its import takes long."""

    def __init__(self, job_id: str, first_step: int) -> None:
        """Steps from `first_step` on that an earlier attempt wrote are hidden."""
        from torch.utils.tensorboard.writer import SummaryWriter

        place = private.make_folder(folder(job_id))
        self._writer = SummaryWriter(str(place), purge_step=first_step, flush_secs=5)
        self._writer.flush()
        private.close_all(place)

    def write(self, event: Event) -> None:
        """Add an event's figures to their curves."""
        if event.kind is Kind.STEP:
            figures = {"train/loss": event.loss, "train/lr": event.lr}
            figures["train/images_per_second"] = event.images_per_second
            figures["train/waiting_for_data"] = event.data_wait
            figures["train/memory_gib"] = event.memory_bytes / 2**30
        elif event.kind is Kind.EPOCH:
            figures = {
                name.replace("held_back_", "held_back/"): value
                for name, value in event.metrics.items()
            }
        else:
            return
        for tag, value in figures.items():
            self._writer.add_scalar(tag, value, event.step, event.time)

    def close(self) -> None:
        self._writer.close()
