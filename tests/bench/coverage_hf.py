"""Which of transformers' vision classes can be shown, retargeted and trained. Run by hand:

    OMP_NUM_THREADS=1 .venv/bin/python tests/bench/coverage_hf.py -o FILE

Every class of its image and video classification and semantic segmentation lists is made with the
default configuration of its kind (and SAID) and random weights, on meta tensors: heads are found
and replaced as in the surgery service, which verifies the shapes of all outputs in evaluation and
in training mode; then one training step runs, on real tensors where that takes at most REAL_FLOPS.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from coverage_heads import training_step
from transformers import CONFIG_MAPPING
from transformers.models.auto import modeling_auto

from netgraft.anatomy.anatomy import Anatomies
from netgraft.errors import NetgraftError
from netgraft.models.edits.retarget import Retarget
from netgraft.models.recipe import Recipe
from netgraft.models.sources.huggingface import build as hf_build
from netgraft.models.sources.huggingface import config as hf_config
from netgraft.models.sources.huggingface import reference as huggingface
from netgraft.store.store import Store
from netgraft.surgery.retarget import retarget

TASKS = ("IMAGE_CLASSIFICATION", "SEMANTIC_SEGMENTATION", "VIDEO_CLASSIFICATION")
CLASSES = 7
OLD_CLASSES = 11
"""Of the model before: a number that is no other size in it."""
LARGEST = 2**34
"""Weights of this many numbers would be enough for any of them."""
SAID: dict[str, dict[str, Any]] = {
    "BeitForSemanticSegmentation": {"out_indices": [3, 5, 7, 11], "out_features": None},
    "Sapiens2ForSemanticSegmentation": {
        "head_config": {"upsample_out_channels": [768, 768], "conv_out_channels": [256, 256]}
    },
}
"""What the default configuration of a kind leaves out and the class asks for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    output = parser.parse_args().output
    outcomes: Counter[tuple[str, str]] = Counter()
    with output.open("w") as file:
        for task, model_type, kind in classes():
            result = {"task": task, "class": kind, **examined(model_type, kind)}
            outcomes[task, str(result["outcome"])] += 1
            print(result["outcome"], kind, result.get("why") or result.get("edits"), flush=True)  # noqa: T201
            file.write(json.dumps(result) + "\n")
            file.flush()
    for (task, outcome), count in sorted(outcomes.items()):
        print(f"{task:22} {outcome:9} {count}")  # noqa: T201


def classes() -> Iterator[tuple[str, str, str]]:
    for task in TASKS:
        mapping = getattr(modeling_auto, f"MODEL_FOR_{task}_MAPPING_NAMES")
        for model_type, kinds in mapping.items():
            for kind in kinds if isinstance(kinds, tuple | list) else (kinds,):
                yield task, model_type, kind


def examined(model_type: str, kind: str) -> dict[str, Any]:
    """The result for one class, in a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        anatomies = Anatomies(Store(folder, f"sqlite:///{folder}/db"))
        try:
            config = CONFIG_MAPPING[model_type](num_labels=OLD_CLASSES).to_dict()
            config = json.loads(json.dumps(config | {"architectures": [kind]}, default=str))
            config = hf_config.checked(config | SAID.get(kind, {}), kind)
            recipe = Recipe(huggingface.base(config, kind, "", hf_config.picture(config, {}, kind)))
            hf_build.check_runs(recipe.base, LARGEST)
            edited = retarget(recipe, CLASSES, (), anatomies).recipe
            step = training_step(edited, anatomies)
            edit = edited.edits[-1]
            assert isinstance(edit, Retarget)
            outcome = "appended" if edit.heads[0].append else "replaced"
            return {"outcome": outcome, "edits": [str(head) for head in edit.heads], **step}
        except NetgraftError as error:
            return {"outcome": "failed", "why": error.sentence()}
        except Exception as error:  # noqa: BLE001  # one class must not end the run
            return {"outcome": "crashed", "why": repr(error)[:300]}
        finally:
            anatomies.store.engine.dispose()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
