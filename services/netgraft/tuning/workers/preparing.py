"""What a run does before its first step: weights, data, and what the spec leaves open.

Rank 0 does what is done once, and says so; the others wait for it, however long it takes.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import nn

from netgraft.errors import TrainingFailed
from netgraft.language import Message
from netgraft.models import bases
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store
from netgraft.tuning.data.held_back import share
from netgraft.tuning.data.kept import kept_or_read
from netgraft.tuning.data.reading import Reading
from netgraft.tuning.data.remembered import known_facts, remember
from netgraft.tuning.forecast.timings import part
from netgraft.tuning.jobs.events import Event, Kind
from netgraft.tuning.jobs.fitting import in_order_of
from netgraft.tuning.jobs.job import Job
from netgraft.tuning.jobs.spec import ResolvedSpec, Spec
from netgraft.tuning.tasks.task import Task
from netgraft.tuning.train import pilot
from netgraft.tuning.train.memory import more_parts
from netgraft.tuning.train.objective import Batch
from netgraft.tuning.train.pilot import Form
from netgraft.tuning.train.step import LEAST_PART, parts_of
from netgraft.tuning.workers import outcome
from netgraft.tuning.workers.findings import Findings
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.known import KnownFeatures
from netgraft.tuning.workers.prepare import Batches, Data
from netgraft.tuning.workers.progress import ProgressWriter


@dataclass
class Preparing:
    """The preparation of one attempt, on one rank."""

    job: Job
    recipe: Recipe
    task: Task
    group: Group
    store: Store
    writer: ProgressWriter | None

    def __post_init__(self) -> None:
        self.because: tuple[str, ...] = ()
        spec = self.job.spec
        data = kept_or_read(spec.fingerprint, spec.data, spec.options, self.store)
        self.data = Data(in_order_of(self.recipe, data, self.task))

    @part("read")
    def read(self) -> tuple[Spec, Batches]:
        """Fetch the weights and read the data; return the spec so far and this rank's data.

        Raises WeightsUnavailable, DataNotFound, OutsideDataRoots and InvalidData, and LeaderFailed
        on the ranks that only waited.
        """
        self.group.lead(self._fetch)
        bases.fetch(self.recipe.base)  # on another node; on this one it is there
        reading = self._read()
        self.group.lead(lambda: self._judge(reading))
        without, data_hash = self.group.share((self.data.without, reading.data_hash))
        self.data = replace(self.data, without=without, pixels=reading.pixels, data_hash=data_hash)
        spec = self.job.spec
        if spec.threads:
            torch.set_num_threads(spec.threads)
        spec = replace(spec, threads=spec.threads or torch.get_num_threads())
        batches = Batches(spec, self.recipe, self.task, self.group, self.data)
        return self.group.share(spec), batches

    @part("pilot")
    def formed(self, spec: Spec, batches: Batches, module: nn.Module) -> Spec:
        """The complete spec: number format and layout by what trains fastest here.

        Raises TrainingFailed for bf16 that was asked for where its gradients would be wrong.
        """
        if not spec.precision or (spec.precision == "bf16" and not self._is_again):
            spec = self._measured(spec, batches, module)
        return self.group.share(spec)

    def resolved(self, spec: Spec) -> ResolvedSpec:
        """The complete spec with what was assumed for it."""
        known = self.job.resolved
        return replace(known, spec=spec, assumptions=(*known.assumptions, *self.because))

    def _fetch(self) -> None:
        """Fetch the weights, on rank 0 for all."""
        if not bases.on_disk(self.recipe.base):
            self._note(Message("Fetching the weights of {model}.", model=self.recipe.base.name))
        bases.fetch(self.recipe.base)

    def _read(self) -> Reading:
        """Read every picture once, each rank its share; rank 0 gets all facts."""
        manifest, group = self.data.manifest, self.group
        known = known_facts(manifest, self.store) if group.leads else ()
        side = self.job.spec.image_size
        if group.share(bool(known)):
            return Reading(manifest, side, known=known)
        self._note(Message("Reading {count:,} pictures.", count=len(manifest.names)))
        mine = share(manifest, group.rank, group.workers)
        reading = Reading(manifest, side, indices=mine)
        group.together(reading.finish)
        parts = group.gather([reading.facts[index] for index in mine])
        reading.indices = range(len(manifest.names))
        for rank, facts in enumerate(parts):
            places = share(manifest, rank, group.workers)
            for index, each in zip(places, facts, strict=True):
                reading.facts[index] = each
        return reading

    def _judge(self, reading: Reading) -> None:
        """On rank 0: keep what was found, refuse what cannot be trained on, start the checks."""
        if not reading.is_known:
            remember(reading, self.store)
        bad = frozenset(index for index in reading.indices if reading.facts[index].fault)
        if len(bad) > self.job.spec.skip_bad * len(reading.indices):
            reading.must_be_sound()
        findings = Findings(reading.seen, self.job, self.store, self.writer)
        known = KnownFeatures(self.store, self.recipe.id, reading.data_hash)
        self.data = replace(self.data, without=bad, findings=findings, known=known)
        if bad:
            self._note(Message("{count} pictures are left out.", count=len(bad)))

    @property
    def _is_again(self) -> bool:
        """Return whether an earlier attempt has said all this."""
        return self.job.attempt > 1

    def _measured(self, spec: Spec, batches: Batches, module: nn.Module) -> Spec:
        device = self.group.device
        module.to(device).train()
        batch = next(batches.to_train(0, 0))
        outsized = device.type == "cpu" and pilot.outsized(module, batch[0][:2])
        if spec.precision:
            if spec.precision == "bf16" and outsized:
                raise TrainingFailed(problem=_no_bf16(spec, outsized[0]))
            return spec
        forms = pilot.forms(device, bf16=not outsized)
        spec, times = self._times(spec, batches, module, batch, forms)
        best = pilot.fastest(times)
        if len(times) > 1:
            shown = ", ".join(f"{form} {times[form] / times[best]:.2g}" for form in times)
            self.because = (
                Message(
                    "precision {form}: time of a step here, relative: {times}",
                    form=str(best),
                    times=shown,
                ),
            )
        return replace(spec, precision=best.precision, layout=best.layout)

    def _times(
        self, spec: Spec, batches: Batches, module: nn.Module, batch: Batch, forms: list[Form]
    ) -> tuple[Spec, dict[Form, float]]:
        """The seconds of each form, in so many parts of a batch that memory suffices for one."""
        device, steps = self.group.device, batches.per_epoch * spec.epochs
        criterion = self.task.criterion(spec.loss).to(device)
        given, _ = parts_of(batch, spec.accumulate)[0]

        def seconds(form: Form) -> float:
            return pilot.step_seconds(module, self.task, criterion, given, device, form)

        times = pilot.measure(forms, seconds, self.group.total, steps=steps)
        if math.isfinite(min(times.values())):
            return spec, times
        more = more_parts(spec.accumulate, batches.share, LEAST_PART)
        if more is None:
            raise TrainingFailed(problem=outcome.no_memory(spec.batch_size))
        self._note(outcome.in_parts(spec.batch_size, more))
        return self._times(replace(spec, accumulate=more), batches, module, batch, forms)

    def _note(self, message: Message) -> None:
        if self.writer:
            self.writer.write(Event(Kind.NOTE, message=message))


def _no_bf16(spec: Spec, path: str) -> Message:
    return Message(
        "at {side} × {side} pixels the kernel of {path} is larger than its input, and this "
        "computer's bf16 gradients are wrong there. Ask for fp32 or a larger image size.",
        side=spec.image_size,
        path=path,
    )
