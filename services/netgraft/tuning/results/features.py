"""The mean of a layer's input for each class of a data set, from which a new head may start.

A head that measures the distance to the mean of each class (Mensink et al. 2013) is linear:
−s/2 · ‖f − μ‖² is s μ·f − s/2 · ‖μ‖² plus what all classes share. The scale s is the one under
which the examples themselves are most likely (temperature scaling, Guo et al. 2017).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraft.errors import InvalidData, InvalidValue, NotPossible, UnknownModule
from netgraft.language import Message
from netgraft.models import bases
from netgraft.models.build import build
from netgraft.models.nearest import nearest
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store
from netgraft.tuning.data.kinds import open_data
from netgraft.tuning.data.loading import Normaliser, load
from netgraft.tuning.data.manifest import Options
from netgraft.tuning.data.pixels import PictureExamples
from netgraft.tuning.data.reading import check_pictures
from netgraft.tuning.data.refusals import must_train
from netgraft.tuning.tasks.classification import TASK

BATCH = 32
MOST_EXAMPLES = 2_000
"""Examples that are read if no number is given; more would change a mean little."""
LARGEST = 20_000

MEANS, SCALE = "means", "scale"
"""Names of the tensors that are stored: means_KF, and s."""


@dataclass(frozen=True)
class Measured:
    """The progress of a measurement, and at its end the result."""

    done: int
    total: int
    tensors: str = ""
    """Name of the delta with `MEANS` and `SCALE`; "" until the end."""
    class_names: tuple[str, ...] = ()


def mean_features(
    recipe: Recipe,
    layer: str,
    data: str,
    store: Store,
    most_examples: int = 0,
    options: Options | None = None,
) -> Iterator[Measured]:
    """Run the examples to train on through a model, as it is, up to a layer.

    `layer` is the path of a Linear or a convolution; the input of a convolution is averaged over
    space, that of a Linear over its tokens. Raises UnknownModule, InvalidValue,
    NotPossible, DataNotFound, InvalidData and WeightsUnavailable.
    """
    most = most_examples or MOST_EXAMPLES
    if not 0 < most <= LARGEST:
        expected = Message("from {least:,} to {most:,}", least=1, most=LARGEST)
        raise InvalidValue(name="most_examples", value=most, expected=expected)
    if bases.task(recipe.base) not in TASK.models:
        problem = Message("class means are measured on models that tell pictures apart.")
        raise NotPossible(problem=problem)
    opened = open_data(data, options)
    must_train(opened)
    check_pictures(opened)
    bases.fetch(recipe.base)
    module = build(recipe, store).eval()
    _must_have(module, layer)
    preprocessing = bases.preprocessing(recipe.base)
    examples = PictureExamples(opened, "train", opened.side or preprocessing.size)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(examples), generator=generator)[:most].tolist()
    order = [chosen[at : at + BATCH] for at in range(0, len(chosen), BATCH)]
    normalise = Normaliser(preprocessing.mean, preprocessing.std, torch.device("cpu"))
    features: list[Tensor] = []
    labels: list[Tensor] = []
    yield Measured(0, len(chosen))
    for x_NCHW, labels_N in normalise(load(examples, order, TASK.collate, seed=None)):
        features.append(_read(module, layer, x_NCHW))
        labels.append(labels_N)
        yield Measured(sum(map(len, labels)), len(chosen))
    means, scale = _summed(torch.cat(features), torch.cat(labels), opened.class_names, data)
    digest = store.put_tensors({MEANS: means, SCALE: scale})
    yield Measured(len(chosen), len(chosen), digest, opened.class_names)


def _must_have(module: nn.Module, layer: str) -> None:
    if not layer:
        expected = Message("the path of the head")
        raise InvalidValue(name="layer", value=Message("empty"), expected=expected)
    known = [name for name, _ in module.named_modules() if name]
    if layer not in known:
        raise UnknownModule(path=layer, nearest=", ".join(nearest(layer, known)))


class _Reached(Exception):
    """Raised when the layer has been reached, because the layers after it are not needed."""


@torch.no_grad()
def _read(module: nn.Module, layer: str, x_NCHW: Tensor) -> Tensor:
    """The layer's input as features_NF."""
    found: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        found.append(given[0])
        raise _Reached

    hook = module.get_submodule(layer).register_forward_pre_hook(keep)
    try:
        module(x_NCHW)
    except _Reached:
        pass
    finally:
        hook.remove()
    if not found:
        problem = Message("the model does not call {layer} on a picture.", layer=layer)
        raise NotPossible(problem=problem)
    value = found[0]
    if value.ndim == 4:
        return value.mean(dim=(2, 3))
    return value.mean(dim=1) if value.ndim == 3 else value


def _summed(
    features_NF: Tensor, labels_N: Tensor, names: Sequence[str], data: str
) -> tuple[Tensor, Tensor]:
    counts = torch.bincount(labels_N, minlength=len(names))
    if not counts.all():
        lacking = names[int((counts == 0).nonzero()[0])]
        problem = Message("no example belongs to the class {name}.", name=lacking)
        raise InvalidData(data=data, problem=problem)
    sums = torch.zeros(len(names), features_NF.shape[1]).index_add_(0, labels_N, features_NF)
    means_KF = sums / counts[:, None]
    return means_KF, _best_scale(features_NF, labels_N, means_KF)


def _best_scale(features_NF: Tensor, labels_N: Tensor, means_KF: Tensor) -> Tensor:
    """The s under which the labels are most likely, of a grid around one over the variance."""
    distances_NK = torch.cdist(features_NF, means_KF).square()
    own = distances_NK.gather(1, labels_N[:, None]).mean().clamp(min=1e-12)
    scales = torch.logspace(-2, 3, 51) / own
    losses = [F.cross_entropy(-s / 2 * distances_NK, labels_N) for s in scales]
    return scales[int(torch.stack(losses).argmin())].clone()
