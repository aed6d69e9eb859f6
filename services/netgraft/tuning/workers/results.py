"""The models that a run hands out: measured on what is held out, and stored."""

from functools import cached_property

import torch
from torch import nn

from netgraft.models import trained
from netgraft.models.answering import Answering
from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store
from netgraft.tuning.jobs.spec import Spec
from netgraft.tuning.results.asking import Asker
from netgraft.tuning.results.evaluate import Counted, measure
from netgraft.tuning.results.shown import heldout
from netgraft.tuning.results.tuned import answering_for, store_tuned
from netgraft.tuning.train.step import Learner
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.measuring import measured
from netgraft.tuning.workers.prepare import Batches

EVALUATED = "classification"
"""The catalogue's task that `evaluate` knows."""


class Results:
    """Measures and stores models of one job, on one rank. Rank 0 stores."""

    def __init__(
        self,
        job: str,
        recipe: Recipe,
        batches: Batches,
        group: Group,
        store: Store,
        module: nn.Module,
    ) -> None:
        """`module` is as it was before anything was trained."""
        self.job = job
        self.recipe = recipe
        self.batches = batches
        self.group = group
        self.store = store
        self.before = {
            name: value.clone() for name, value in module.state_dict().items() if group.leads
        }
        self._answers: dict[int, tuple[int, float]] = {}
        """Held-out picture → what the model that was measured last said, and how surely."""

    def answering(self, spec: Spec) -> Answering:
        """Return how a model that is tuned as `spec` says is asked. Raises DiskFull."""
        return answering_for(spec, self.recipe, self.batches.data, self.store, self.leaked)

    @cached_property
    def leaked(self) -> frozenset[int]:
        """The pictures that measure and of which copies are trained on; all ranks ask alike."""
        found: list[frozenset[int]] = []
        findings = self.batches.data.findings
        self.group.lead(lambda: found.append(findings.leaked() if findings else frozenset()))
        return self.group.share(found[0] if found else frozenset())

    def held_out(
        self, module: nn.Module, answering: Answering, learner: Learner | None = None
    ) -> dict[str, float]:
        """The figures on what is held out, as `evaluate` and `predict` find them, too.

        `learner`: what measures tasks that `evaluate` does not know.
        """
        group = self.group
        self._answers = {}
        if learner and EVALUATED not in self.batches.task.models:
            module.eval()
            return measured(learner, self.batches.to_measure(), group)[0]
        examples = self.batches.held_out
        leaked = [at for at, index in enumerate(examples.indices) if index in self.leaked]
        found = measure(
            Asker(module, answering, group.device),
            examples,
            Counted(len(self.batches.class_names), leaked),
            rank=group.rank,
            ranks=group.workers,
            total=group.total,
            each=self._note,
        )
        for answers in group.gather(self._answers):
            self._answers |= answers
        return found.metrics

    def _note(self, pictures: list[int], said: list[int], sure: list[float]) -> None:
        """Keep what the model says of some held-out pictures."""
        self._answers |= dict(zip(pictures, zip(said, sure, strict=True), strict=True))

    def stored(
        self,
        module: nn.Module,
        answering: Answering,
        metrics: dict[str, float],
        gradients: dict[str, float] | None = None,
    ) -> str:
        """Store what the module has become, and return its id. Raises DiskFull."""
        tuned = Tuned(
            job=self.job,
            tensors="",
            class_names=self.batches.class_names,
            metrics=tuple(sorted(metrics.items())),
            answering=answering,
        )
        model = store_tuned(self.recipe, module, self.before, self.store, tuned, gradients)
        self._keep_circumstances(model)
        if self._answers:
            heldout.keep(self.store, model, self._held_out(metrics))
        return model

    def _keep_circumstances(self, model: str) -> None:
        device = self.group.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
        found = trained.Trained(self._sizes(), trained.machine(name), trained.versions())
        trained.keep(self.store, model, found)

    def _sizes(self) -> dict[str, int]:
        """The number of pictures by use."""
        roles, uses = self.batches.roles, ("fit", "held_back", "held_out")
        kept_apart = self.batches.manifest.size("test")
        sizes = {use: len(getattr(roles, use)) for use in uses}
        return sizes | ({"test": kept_apart} if kept_apart else {})

    def _held_out(self, metrics: dict[str, float]) -> heldout.HeldOut:
        """The answers of the model that was measured last."""
        data, manifest, roles = self.batches.data, self.batches.manifest, self.batches.roles
        pictures = [roles.held_out[place] for place in sorted(self._answers)]
        said, probabilities = zip(*(self._answers[at] for at in sorted(self._answers)), strict=True)
        return heldout.HeldOut(
            job=self.job,
            data=manifest.reference,
            data_hash=data.data_hash,
            class_names=manifest.class_names,
            sizes=self._sizes(),
            metrics=metrics,
            names=[manifest.names[picture] for picture in pictures],
            truths=[manifest.labels[picture] for picture in pictures],
            said=said,
            probabilities=probabilities,
        )
