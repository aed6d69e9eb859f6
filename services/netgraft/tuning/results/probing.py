"""What a probe on a model's features says of pictures that it was not fitted to.

For the check of labels: a picture that every other picture speaks against is probably labelled
wrong.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from netgraft.models import answers, bases
from netgraft.models.build import build
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store
from netgraft.tuning.data.checks.finding import OutOfFold
from netgraft.tuning.data.loading import Normaliser, load
from netgraft.tuning.data.manifest import Manifest
from netgraft.tuning.data.pixels import PictureExamples
from netgraft.tuning.data.reading import Reading
from netgraft.tuning.jobs.heads import head_paths
from netgraft.tuning.tasks.classification import TASK
from netgraft.tuning.train.features import Extractor, batch_size, extractor
from netgraft.tuning.train.folds import stratified
from netgraft.tuning.train.probe import probe

MOST_PICTURES = 5_000
"""Pictures that are probed; of more, so many are sampled evenly."""
LEAST = 2
"""Pictures of a class that can be probed: one to learn from while the other is asked."""


class Probe:
    """A probe of a data set by a model with trained weights."""

    def __init__(self, recipe: Recipe, manifest: Manifest, store: Store) -> None:
        self.recipe = recipe
        self.manifest = manifest
        self.store = store
        self.side = manifest.side or answers.answering(recipe).side

    @property
    def is_possible(self) -> bool:
        """True if the model has learnt to look at pictures, and there is more than one class."""
        base = self.recipe.base
        has_learnt = base.weights is not None or base.file is not None or self.recipe.is_tuned
        of_pictures = bases.task(base) in TASK.models
        return has_learnt and of_pictures and len(self.manifest.class_names) > 1

    def chosen(self, reading: Reading) -> list[int]:
        """The pictures to probe: sound ones that do not only test, of classes with some."""
        parts, labels = self.manifest.parts, self.manifest.labels
        usable = [index for index in reading.sound if parts[index] != "test"]
        counts = torch.bincount(torch.tensor([labels[i] for i in usable]), minlength=1).tolist()
        usable = [index for index in usable if counts[labels[index]] >= LEAST]
        return usable[:: -(-len(usable) // MOST_PICTURES) or 1]

    def run(self, reading: Reading, indices: list[int]) -> Iterator[int | OutOfFold]:
        """Yield how many pictures have been run, and at the end what the probe says of them:
        nothing where the model's head is not linear.

        Raises WeightsUnavailable.
        """
        features: list[Tensor] = []
        for done, features_NF in self._features(reading, indices):
            features.append(features_NF)
            yield done
        labels = [self.manifest.labels[index] for index in indices]
        if not features or len(set(labels)) < 2:
            return
        # The probe numbers the classes that it sees.
        kept = sorted(set(labels))
        renumbered = torch.tensor([kept.index(label) for label in labels])
        groups = [self.manifest.groups[i] for i in indices] if self.manifest.groups else ()
        folds_NS = stratified(renumbered.tolist(), groups)
        found = probe(torch.cat(features), renumbered, len(kept), folds_NS, "accuracy")
        probabilities = torch.zeros(len(indices), len(self.manifest.class_names))
        probabilities[:, kept] = (found.logits / found.temperature).softmax(1)
        yield OutOfFold(probabilities.numpy(), indices)

    def _features(self, reading: Reading, indices: list[int]) -> Iterator[tuple[int, Tensor]]:
        heads = head_paths(self.recipe, self.store)
        if not heads or not indices:
            return
        bases.fetch(self.recipe.base)
        module = build(self.recipe, self.store)
        expected = answers.answering(self.recipe)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        normalise = Normaliser(expected.mean, expected.deviation, device)
        examples = PictureExamples(self.manifest, indices, self.side, reading.pixels)
        size = batch_size(self.side)
        order = [range(at, min(at + size, len(indices))) for at in range(0, len(indices), size)]
        made: Extractor | None = None
        done = 0
        for x_NCHW, labels_N in normalise(load(examples, order, TASK.collate, seed=None)):
            if made is None:
                found = extractor(module, heads[0], x_NCHW, device=device)
                if not isinstance(found, Extractor):
                    return
                made = found
            done += len(labels_N)
            yield done, made(x_NCHW).cpu()
