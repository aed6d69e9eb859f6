"""How many of transformers' vision classes get a new head by transformers' own way. Run by hand:

    OMP_NUM_THREADS=1 .venv/bin/python tests/bench/compare_hf.py -o FILE

Its way is `num_labels`: the class is made with it, here with the default configuration of its kind
(and SAID), as `from_pretrained(…, num_labels=7, ignore_mismatched_sizes=True)` makes it before it
reads weights. A model is right when it runs in evaluation mode (on meta tensors, except those of
REAL) and its logits count the classes. Inputs are pictures or clips of the size that the
configuration names; models of OTHER_INPUTS take something else, and their heads are examined
instead. What netgraft does with the same classes is counted by coverage_hf.py.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import transformers
from coverage_hf import CLASSES, SAID, classes
from torch import Tensor, nn
from transformers import CONFIG_MAPPING

REAL = ("PerceiverForImageClassificationLearned",)
"""These read values, which tensors on the meta device do not have."""
OTHER_INPUTS = ("ImageGPT", "Siglip2", "ShieldGemma2")
"""Of tokens, or of patches beside a mask."""
SIDE, CHANNELS, FRAMES = 224, 3, 16
"""Used if a configuration has no value."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    output = parser.parse_args().output
    outcomes: Counter[tuple[str, str]] = Counter()
    with output.open("w") as file:
        for task, model_type, kind in classes():
            outcome, why = examined(task, model_type, kind)
            outcomes[task, outcome] += 1
            print(outcome, kind, why, flush=True)  # noqa: T201
            file.write(json.dumps({"class": kind, "outcome": outcome, "why": why}) + "\n")
    for (task, outcome), count in sorted(outcomes.items()):
        print(f"{task:22} {outcome:6} {count}")  # noqa: T201


def examined(task: str, model_type: str, kind: str) -> tuple[str, str]:
    """The result for one class: "right" or "failed", and why it failed."""
    try:
        config = CONFIG_MAPPING[model_type](num_labels=CLASSES, **SAID.get(kind, {}))
        device = torch.device("cpu" if kind in REAL else "meta")
        with device:
            model = getattr(transformers, kind)(config).eval()
        if kind.startswith(OTHER_INPUTS):
            return ("right", "") if counts_classes(model) else ("failed", "no head of 7")
        shape = tuple(logits(model, pictures(task, config, device)).shape)
    except Exception as error:  # noqa: BLE001  # one class must not end the run
        return "failed", repr(error)[:200]
    counted = shape[1] if len(shape) == 4 else shape[-1]
    return ("right", "") if counted == CLASSES else ("failed", f"logits of {shape}")


def counts_classes(model: nn.Module) -> bool:
    sizes = (getattr(layer, "out_features", None) for layer in model.modules())
    return CLASSES in sizes


def pictures(task: str, config: Any, device: torch.device) -> Tensor:
    """Two pictures (N, C, H, W), or two clips (N, T, C, H, W)."""
    named = getattr(config, "image_size", None) or getattr(config, "crop_size", None) or SIDE
    height, width = named if isinstance(named, list | tuple) else (named, named)
    channels = getattr(config, "num_channels", None) or CHANNELS
    frames = getattr(config, "num_frames", None) or getattr(config, "frames_per_clip", FRAMES)
    clip = (frames,) if task == "VIDEO_CLASSIFICATION" else ()
    return torch.zeros(2, *clip, channels, height, width, device=device)


def logits(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        try:
            answer = model(pixel_values=x)
        except TypeError:  # vjepa2 and perceiver use another name
            answer = model(x)
    found = answer[0]  # without labels there is no loss before them; PPLCNet has another name
    assert isinstance(found, Tensor)
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
