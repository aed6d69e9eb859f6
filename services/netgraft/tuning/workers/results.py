"""The models that a run hands out: measured on what is held out, and stored."""

from functools import cached_property

from torch import nn

from netgraft.models.answering import Answering
from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store
from netgraft.tuning.jobs.spec import Spec
from netgraft.tuning.results.asking import Asker
from netgraft.tuning.results.evaluate import measure
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
        if learner and EVALUATED not in self.batches.task.models:
            module.eval()
            return measured(learner, self.batches.to_measure(), group)[0]
        examples = self.batches.held_out
        found = measure(
            Asker(module, answering, group.device),
            examples,
            len(self.batches.class_names),
            leaked=[at for at, index in enumerate(examples.indices) if index in self.leaked],
            rank=group.rank,
            ranks=group.workers,
            total=group.total,
        )
        return found.metrics

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
        return store_tuned(self.recipe, module, self.before, self.store, tuned, gradients)
