"""Who finds how many heads: netgraft, timm, torchvision's tutorials, fastai. Run by hand:

    OMP_NUM_THREADS=1 .venv/bin/python tests/bench/compare_heads.py --way netgraft -o FILE
    … the same for --way timm, torchvision and fastai; then  … --table FILE FILE FILE FILE

Each way gives a model of the zoo CLASSES classes as its documentation says; then the model is
run on meta tensors in evaluation and in training mode, and each output whose size is the
class count is examined. A model is right when all of these have the new count, and a head when the
layer that netgraft's trace names has it. fastai is no part of this project: put it beside its
packages with `PYTHONPATH`, and take a way out of the run where it is not installed.

- netgraft: the surgery service.
- timm: `create_model(name).reset_classifier(CLASSES)`.
- torchvision: the code of its tutorials, by the first of the names fc, classifier, heads,
  head that the model has: a Linear is replaced, and in a Sequential the last Linear or Conv2d;
  the same for the auxiliary heads that they name (AuxLogits.fc, aux_classifier), and
  FastRCNNPredictor and MaskRCNNPredictor in a detector.
- fastai: what `vision_learner` makes its model with (`create_vision_model`, `create_timm_model`).
"""

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from netgraft.anatomy.anatomy import Anatomies, example
from netgraft.anatomy.heads import FEW, Trace, call, tensors_in
from netgraft.anatomy.standin import StandIn
from netgraft.errors import NetgraftError
from netgraft.models.build import build
from netgraft.models.resolve import resolve
from netgraft.models.weightless import construct_weightless
from netgraft.models.zoo.catalogue import entries
from netgraft.models.zoo.entry import Entry
from netgraft.store.store import Store
from netgraft.surgery.retarget import retarget

CLASSES = 7
EVERY_NTH_OF_TIMM = 7
TASKS = ("classification", "segmentation", "video", "detection")

Way = Callable[[Entry, nn.Module], nn.Module]
"""Takes a name and its module on meta; gives the module with new heads."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Who finds how many heads.")
    parser.add_argument("--way", choices=["netgraft", *WAYS])
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--table", type=Path, nargs="+")
    options = parser.parse_args()
    if options.table:
        table([json.loads(line) for path in options.table for line in path.open()])
        return
    with options.output.open("w") as file:
        for entry in names():
            result = {"way": options.way, "name": entry.name, **tried(options.way, entry)}
            file.write(json.dumps(result) + "\n")
            file.flush()


def names() -> Iterator[Entry]:
    """All of torchvision's names that classify, and every n-th of timm's."""
    known = [entry for entry in entries() if entry.task in TASKS]
    yield from (entry for entry in known if entry.source == "torchvision")
    yield from [entry for entry in known if entry.source == "timm"][::EVERY_NTH_OF_TIMM]


def tried(way: str, entry: Entry) -> dict[str, object]:
    """The result of one way for one name."""
    with tempfile.TemporaryDirectory() as folder:
        anatomies = Anatomies(Store(folder, f"sqlite:///{folder}/db"))
        recipe = resolve(entry.name, "pretrained", anatomies.store).recipe
        seen = anatomies.of(recipe).trace
        heads = {head.path: head.resized(total(seen)) for head in seen.heads if head.classes}
        facts = {"source": entry.source, "task": entry.task, "heads": max(1, len(heads))}
        try:
            if way == "netgraft":
                edited = retarget(recipe, CLASSES, (), anatomies).recipe
                module = build(edited, anatomies.store, device="meta")
            else:
                module = WAYS[way](entry, build(recipe, anatomies.store, device="meta"))
            problem = wrong(module, seen, partial(example, recipe))
        except (Exception, NetgraftError) as error:  # noqa: BLE001  # whatever a peer raises counts
            return {
                **facts,
                "right": False,
                "found": 0,
                "why": f"{type(error).__name__}: {error}"[:300],
            }
        finally:
            anatomies.store.engine.dispose()
        found = sum(width(module, path) == size for path, size in heads.items())
        found = found if heads and way != "fastai" else int(not problem)
        return {**facts, "right": not problem, "found": found, "why": problem}


def total(seen: Trace) -> int:
    return CLASSES + 1 if seen.detector else CLASSES


def width(module: nn.Module, path: str) -> int:
    try:
        layer = module.get_submodule(path)
    except AttributeError:
        return 0
    return int(getattr(layer, "out_features", getattr(layer, "out_channels", 0)))


def wrong(module: nn.Module, seen: Trace, inputs: Callable[[], Any]) -> str:
    """The first output without the new count; "" if all have it."""
    if seen.detector:
        with StandIn(keep=FEW):
            call(module.eval(), inputs())
        kept = [
            h.path
            for h in seen.heads
            if h.classes and width(module, h.path) != h.resized(total(seen))
        ]
        return f"these layers kept their classes: {', '.join(kept)}" if kept else ""
    for mode, before in (("evaluation", seen.outputs), ("training", seen.training_outputs)):
        if mode == "training" and not before:
            continue
        with StandIn(keep=FEW):
            _, result = call(module.train(mode == "training"), inputs())
        shapes = {key: tuple(tensor.shape) for key, tensor in tensors_in(result)}
        wanted = (
            {
                output.key: tuple(
                    CLASSES if size == seen.classes else size for size in output.shape
                )
                for output in before
            }
            if seen.classes
            else {"": (2, CLASSES)}
        )
        if shapes != wanted:
            return f"in {mode} it returns {shapes} instead of {wanted}"
    return ""


# The peers


def by_timm(entry: Entry, module: nn.Module) -> nn.Module:
    if entry.source != "timm":
        raise NotImplementedError("no name of timm's")
    with torch.device("meta"):
        module.reset_classifier(CLASSES)  # type: ignore[operator]
    return module


def by_torchvision(entry: Entry, module: nn.Module) -> nn.Module:
    if entry.task == "detection":
        return by_tutorial_of_detection(module)
    for path in ("", "AuxLogits", "aux1", "aux2"):
        owner = getattr(module, path, None) if path else module
        if owner is not None:
            replace_in(owner, required=not path)
    if hasattr(module, "aux_classifier") and module.aux_classifier is not None:
        replace_last(module.aux_classifier)
    return module


def replace_in(owner: nn.Module, *, required: bool) -> None:
    for name in ("fc", "classifier", "heads", "head"):
        layer = getattr(owner, name, None)
        if isinstance(layer, nn.Linear | nn.Conv2d):
            setattr(owner, name, like(layer))
            return
        if isinstance(layer, nn.Sequential):
            replace_last(layer)
            return
    for name in ("fc2",) if not required else ():
        if isinstance(getattr(owner, name, None), nn.Linear):
            setattr(owner, name, like(getattr(owner, name)))
            return
    if required:
        raise AttributeError("it has none of fc, classifier, heads, head")


def replace_last(layers: nn.Module) -> None:
    for name, layer in reversed(list(layers.named_children())):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            setattr(layers, name, like(layer))
            return
    raise AttributeError("its last part has no Linear or Conv2d")


def like(layer: nn.Linear | nn.Conv2d) -> nn.Module:
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, CLASSES, device="meta")
    return nn.Conv2d(layer.in_channels, CLASSES, kernel_size=1, device="meta")


def by_tutorial_of_detection(module: Any) -> nn.Module:
    """https://pytorch.org/tutorials/intermediate/torchvision_tutorial.html"""
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
    from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor

    with torch.device("meta"):
        into = module.roi_heads.box_predictor.cls_score.in_features
        module.roi_heads.box_predictor = FastRCNNPredictor(into, CLASSES + 1)
        if getattr(module.roi_heads, "mask_predictor", None) is not None:
            into = module.roi_heads.mask_predictor.conv5_mask.in_channels
            module.roi_heads.mask_predictor = MaskRCNNPredictor(into, 256, CLASSES + 1)
    made: nn.Module = module
    return made


def by_fastai(entry: Entry, _module: nn.Module) -> nn.Module:
    from fastai.vision.learner import create_timm_model, create_vision_model

    if entry.task != "classification":
        raise NotImplementedError("vision_learner classifies pictures")
    if entry.source == "timm":
        name = entry.name.removeprefix("timm/")
        return construct_weightless(lambda: create_timm_model(name, CLASSES, pretrained=False)[0])
    builder = torchvision.models.get_model_builder(entry.name)
    return construct_weightless(lambda: create_vision_model(builder, CLASSES, pretrained=False))


WAYS: dict[str, Way] = {"timm": by_timm, "torchvision": by_torchvision, "fastai": by_fastai}


# The table


def table(results: list[dict[str, Any]]) -> None:
    """Models that are right and heads that were found, by way and task, as Markdown."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        groups[result["source"], result["task"], result["way"]].append(result)
    ways = list(dict.fromkeys(result["way"] for result in results))
    print("| models | " + " | ".join(ways) + " |")  # noqa: T201
    print("|---" * (1 + len(ways)) + "|")  # noqa: T201
    for source, task in dict.fromkeys((r["source"], r["task"]) for r in results):
        cells = [f"{source}, {task}"]
        for way in ways:
            group = groups[source, task, way]
            if all(r["why"].startswith("NotImplementedError") for r in group):
                cells.append("not meant for it")
                continue
            right, found, heads = (
                sum(r[key] for r in group) for key in ("right", "found", "heads")
            )
            cells.append(f"{right} of {len(group)} ({found} of {heads} heads)")
        print("| " + " | ".join(cells) + " |")  # noqa: T201
    for result in results:
        if not result["right"]:
            print(result["way"], result["name"], result["why"])  # noqa: T201


if __name__ == "__main__":
    main()
