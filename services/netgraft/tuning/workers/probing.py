"""The probe of a run: a head on the features of the frozen network, in seconds.

It is the first model that can be used, and the one that full tuning has to beat. Two heads are
trained: one on all training pictures, which is handed out, and one without those that are held
back, by which it is judged. Full tuning starts from a third: batch norms go by the statistics of
each batch while they train, so its features are those of settled norms. (Digits differ so much
from what mobilenet_v2 has seen that the probe's own head knew .95 of them before the first step
of training, and .66 after an epoch.)

Shapes: N pictures, F features, K classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from netgraft.language import Message
from netgraft.tuning.data.checks.finding import OutOfFold
from netgraft.tuning.data.loading import load
from netgraft.tuning.forecast.timings import part
from netgraft.tuning.tasks.task import Task
from netgraft.tuning.train.features import (
    CHECKED,
    Extractor,
    FrozenForm,
    NotLinear,
    batch_size,
    extractor,
    write_head,
)
from netgraft.tuning.train.folds import stratified
from netgraft.tuning.train.probe import Criterion, Probed, mirror_hurts, probe
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.known import Known
from netgraft.tuning.workers.prepare import Batches

MIRRORED = 256
"""Pictures that are mirrored, at most, to find out whether that hurts."""


@dataclass(frozen=True)
class Head:
    """Weights of a head."""

    weight: Tensor
    """weight_KF."""
    bias: Tensor
    """bias_K."""

    def write(self, module: nn.Module, path: str) -> None:
        """Put it into a module."""
        write_head(module, path, self.weight, self.bias)


@dataclass(frozen=True)
class Probe:
    """The probe of a run. All ranks have the same."""

    path: str
    form: str
    """How the frozen network was run: the same form gives the same features."""
    whole: Head
    """Of all training pictures."""
    temperature: float
    figures: dict[str, float]
    """Of a head that has not seen the held-back pictures, on these."""
    right: list[bool]
    """Whether it answers each of them rightly."""
    out_of_fold: tuple[int, int]
    """Training pictures answered rightly by heads that had not seen them, and how many there are.
    """


@dataclass(frozen=True)
class Start:
    """The start of full tuning. All ranks have the same."""

    head: Head
    mirror: bool
    """Whether training pictures are mirrored."""


@dataclass
class Probing:
    """Makes the probe of a run, on one rank."""

    batches: Batches
    task: Task
    group: Group
    by: Criterion
    side: int

    def carry_out(self, module: nn.Module, heads: Sequence[str], form: str) -> "Probe | NotLinear":
        """The probe, or why there can be none. `form`: that of an earlier attempt, or ""."""
        if len(heads) != 1:
            return NotLinear(Message("{count} layers answer, and not one.", count=len(heads)))
        known = self._known(module, heads[0], form)
        if isinstance(known, NotLinear):
            return known
        made = self._fitted(known) if self.group.leads else None
        shared = self.group.share(made)
        assert shared is not None
        return shared

    def _known(self, module: nn.Module, path: str, form: str) -> Known | NotLinear:
        """The features of all training pictures, on rank 0: kept from before, or computed."""
        kept, where = self.batches.data.known, self._where()
        found = kept.find(path, form, *where) if kept else None
        if self.group.share(found is not None):
            return found or Known(path, form, torch.empty(0))
        extract = self._extractor(module, path, form)
        if isinstance(extract, NotLinear):
            return extract
        features_NF, _ = self._features(extract)
        known = Known(extract.head.path, str(extract.form), features_NF)
        if kept:
            kept.keep(known, form, *where)
        return known

    def _where(self) -> tuple[Any, ...]:
        """Return what features depend on beside the network, the data and the form."""
        batches, group = self.batches, self.group
        train = batches.roles.train
        transform = (self.side, batches.examples.pixels.short, batches.manifest.task)
        running = (torch.get_num_threads(), group.workers, group.device.type)
        return (*transform, *running, batch_size(self.side), train, len(batches.manifest.names))

    def start(self, module: nn.Module, path: str, form: str, mirror: bool | None) -> "Start":
        """The head from which full tuning starts, without the pictures that are held back.

        `mirror`: whether pictures are mirrored, where that is known.
        """
        extract = self._extractor(module, path, form)
        assert isinstance(extract, Extractor)
        features_NF, labels_N = self._features(extract)
        made = None
        if self.group.leads:
            fit = self._places(self.batches.roles.fit)
            features_NF, labels_N = features_NF[fit], labels_N[fit]
            fitted = self._probed(features_NF, labels_N, fit.tolist())
            if mirror is None:
                mirror = not self._mirror_hurts(extract, features_NF, labels_N, fitted)
            made = Start(Head(fitted.weight.float(), fitted.bias.float()), mirror)
        shared = self.group.share(made)
        assert shared is not None
        return shared

    def _mirror_hurts(
        self, extract: Extractor, features_NF: Tensor, labels_N: Tensor, fitted: Probed
    ) -> bool:
        """Judge by a sample of mirrored pictures, each by a head that has not seen it."""
        fit = self.batches.roles.fit
        chosen_M = torch.randperm(len(fit), generator=torch.Generator().manual_seed(0))
        chosen_M = chosen_M[:MIRRORED].sort().values
        loaded = self._loaded([fit[place] for place in chosen_M.tolist()])
        mirrored_MF = torch.cat([extract(x_NCHW.flip(3)).cpu() for x_NCHW, _ in loaded])
        folds_N = self._folds(labels_N, self._places(fit).tolist())[:, 0]
        return mirror_hurts(features_NF, mirrored_MF, chosen_M, labels_N, folds_N, fitted)

    def _places(self, pictures: Sequence[int]) -> Tensor:
        """The places of pictures among all training pictures."""
        places = {index: place for place, index in enumerate(self.batches.roles.train)}
        return torch.tensor([places[index] for index in pictures], dtype=torch.long)

    @part("form")
    def _extractor(self, module: nn.Module, path: str, form: str) -> Extractor | NotLinear:
        """Rank 0 chooses the form for all."""
        known = FrozenForm.parse(form) if form else None
        device = self.group.device
        fit = frozenset(self.batches.roles.fit)
        own = [index for index in self._mine if index in fit] or self.batches.roles.fit
        if self.group.leads:
            sample = next(self._loaded(own[: batch_size(self.side)]))[0]
            self.group.share(sample[:CHECKED].clone())
            made = extractor(
                module, path, sample, device=device, form=known, answer=self.task.answer
            )
            self.group.share("" if isinstance(made, NotLinear) else str(made.form))
            return made
        sample = self.group.share(torch.empty(0))
        chosen = self.group.share("")
        given = FrozenForm.parse(chosen) if chosen else FrozenForm()
        return extractor(module, path, sample, device=device, form=given, answer=self.task.answer)

    @part("features")
    def _features(self, extract: Extractor) -> tuple[Tensor, Tensor]:
        """Features and labels of all training pictures in order, on rank 0; each rank does some."""
        group, everything = self.group, self.batches.roles.train
        loaded = self._loaded(self._mine)
        found = [(extract(x_NCHW).cpu(), labels_N) for x_NCHW, labels_N in loaded]
        features = torch.cat([part for part, _ in found]) if found else torch.empty(0, 0)
        labels = torch.cat([part for _, part in found]) if found else torch.empty(0)
        parts = group.gather((features, labels))
        if not parts:
            return features, labels
        size = (len(everything), extract.head.features)
        features_NF = torch.empty(size)
        labels_N = torch.empty(len(everything), dtype=torch.long)
        for rank, (own, classes) in enumerate(parts):
            if len(own):
                features_NF[rank :: group.workers] = own
                labels_N[rank :: group.workers] = classes
        return features_NF, labels_N

    @property
    def _mine(self) -> list[int]:
        """This rank's share of the training pictures, which it has read."""
        return self.batches.roles.train[self.group.rank :: self.group.workers]

    def _loaded(self, pictures: Sequence[int]) -> Iterator[Any]:
        size = batch_size(self.side)
        order = [list(pictures[at : at + size]) for at in range(0, len(pictures), size)]
        batches = self.batches
        made = load(batches.examples, order, self.task.collate, seed=None, threads=batches.threads)
        return batches.normalise(made)

    def _fitted(self, known: Known) -> Probe:
        features_NF = known.features
        train = self.batches.roles.train
        labels_N = torch.tensor([self.batches.manifest.labels[index] for index in train])
        fit = self._places(self.batches.roles.fit)
        held_back = self._places(self.batches.roles.held_back)
        whole = self._probed(features_NF, labels_N, range(len(labels_N)))
        fair = self._probed(features_NF[fit], labels_N[fit], fit.tolist())
        if findings := self.batches.data.findings:
            shares_NK = (whole.logits / whole.temperature).softmax(1)
            findings.probed(OutOfFold(shares_NK.numpy(), self.batches.roles.train))
        logits_NK = features_NF[held_back] @ fair.weight.float().T + fair.bias.float()
        tally: Any = self.task.tally()
        if len(held_back):
            self.task.measure(
                nn.CrossEntropyLoss(), lambda given: given, (logits_NK, labels_N[held_back]), tally
            )
        return Probe(
            path=known.path,
            form=known.form,
            whole=Head(whole.weight.float(), whole.bias.float()),
            temperature=whole.temperature,
            figures=tally.metrics,
            right=list(tally.right),
            out_of_fold=(round(whole.accuracy.value * len(labels_N)), len(labels_N)),
        )

    @part("head")
    def _probed(self, features_NF: Tensor, labels_N: Tensor, places: Sequence[int]) -> Probed:
        classes = len(self.batches.class_names)
        return probe(features_NF, labels_N, classes, self._folds(labels_N, places), self.by)

    def _folds(self, labels_N: Tensor, places: Sequence[int]) -> Tensor:
        """folds_NS of pictures by their places among the training pictures."""
        groups, train = self.batches.manifest.groups, self.batches.roles.train
        own = [groups[train[place]] for place in places] if groups else ()
        return stratified(labels_N.tolist(), own)
