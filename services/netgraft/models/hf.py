"""Vision models of Hugging Face: a folder, or hf/ORG/NAME, becomes a recipe, and that a module.

The recipe holds the configuration itself and names the weights by content, so nothing is asked of
the folder or the hub again. Only classes that `transformers` itself has for pictures are built:
code that comes with a model is never run, and weights are read from safetensors alone.
"""

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from netgraft.errors import PackageMissing, TooLarge, UnsupportedFile, WeightsUnavailable
from netgraft.models.formats import display_name
from netgraft.models.recipe import Base, Recipe, UserFile
from netgraft.models.weightless import construct_weightless
from netgraft.settings import settings

if TYPE_CHECKING:
    from netgraft.models.store import Store

SOURCE = "hf"
PREFIX = "hf/"
REFERENCE = re.compile(r"hf/([\w.-]+(?:/[\w.-]+)?)(?:@([\w./-]+))?", re.IGNORECASE)

CONFIG, PICTURES = "config.json", "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
LARGEST_TEXT = 2**20
MOST_LAYERS = 512
COUNTS_LAYERS = re.compile(r"layer|depth|block|stage", re.IGNORECASE)
SIDE = 224
"""Side of pictures where neither configuration says it."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

REFUSALS = (ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError)
"""What classes of transformers raise for a configuration that they cannot be built from."""

Opened = tuple[Recipe, tuple[str, ...]]


def must_have_transformers() -> None:
    """Raise PackageMissing where transformers is not installed."""
    if find_spec("transformers") is None:
        raise PackageMissing(what="hf/…", package="transformers", extra="hf")


def open_reference(reference: str, store: "Store") -> Opened:
    """The recipe of hf/ORG/NAME, or hf/ORG/NAME@REVISION; what is missing is downloaded.

    Raises PackageMissing, WeightsUnavailable, and what `open_folder` does.
    """
    must_have_transformers()
    found = REFERENCE.fullmatch(reference)
    if not found:
        raise UnsupportedFile(path=reference, problem="hf/ORG/NAME is what a model is called.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    name, revision = found[1], found[2]
    try:
        folder = snapshot_download(
            name, revision=revision, allow_patterns=[CONFIG, PICTURES, *WEIGHTS]
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        problem = "no network" if isinstance(error, LocalEntryNotFoundError) else str(error)
        raise WeightsUnavailable(
            model=f"{PREFIX}{name}",
            problem=problem.splitlines()[0],
            file=name,
            folder="the Hugging Face cache",
        ) from error
    # In the hub's cache a snapshot holds links to the repository's own blobs.
    return open_folder(Path(folder), name, store, within=Path(folder).parents[1])


def open_folder(folder: Path, name: str, store: "Store", *, within: Path | None = None) -> Opened:
    """The recipe of a folder that `save_pretrained` wrote.

    Raises PackageMissing, UnsupportedFile and TooLarge; nothing is stored then.
    """
    must_have_transformers()
    shown = "/".join(display_name(part) for part in name.split("/"))
    _check_places(folder, within or folder, shown)
    config = _config(folder, shown)
    files = [file for pattern in WEIGHTS for file in folder.glob(pattern)]
    if not files:
        problem = "its weights are missing; model.safetensors is what is read."
        raise UnsupportedFile(path=shown, problem=problem)
    if sum(file.stat().st_size for file in files) > settings().file_bytes:
        raise TooLarge(what=shown, limit=f"{settings().file_mib:,} MiB (NETGRAFT_FILE_MIB)")
    digest = store.put_tensors(_loaded(folder, config, shown))
    return Recipe(base(config, shown, digest, _picture(folder, config, shown))), ()


def base(config: dict[str, Any], name: str, digest: str, picture: dict[str, Any]) -> Base:
    """The base with that configuration; its weights are a delta's, "" for random ones."""
    side = int(picture["side"])
    channels = int(config.get("num_channels") or 3)
    task = (
        "segmentation"
        if _kind(config, name) in _names("semantic_segmentation")
        else ("classification")
    )
    text = json.dumps({"config": config, "picture": picture}, sort_keys=True)
    shape = (channels, side, side)
    return Base(SOURCE, name, None, file=UserFile(digest, SOURCE, name, task, shape, (), text))


# Reading


def _check_places(folder: Path, within: Path, name: str) -> None:
    """Raise UnsupportedFile where a file of the folder is a link, or names a file, outside."""
    parts = [CONFIG, PICTURES, *WEIGHTS]
    files = [file for pattern in parts for file in folder.glob(pattern)]
    strays = [file.name for file in files if not file.resolve().is_relative_to(within.resolve())]
    if (folder / "adapter_config.json").exists():  # transformers would follow it
        strays.append("adapter_config.json")
    index = folder / WEIGHTS[1]
    if index.is_file() and not strays:
        shards = _json(index, name).get("weight_map")
        named = shards.values() if isinstance(shards, dict) else (None,)
        own = {file.name for file in folder.glob(WEIGHTS[2])}
        strays += [str(shard) for shard in named if shard not in own][:1]
    if strays:
        problem = f"{strays[0]} is, or leads to, a file outside its folder."
        raise UnsupportedFile(path=name, problem=problem)


def _json(file: Path, name: str) -> dict[str, Any]:
    if file.stat().st_size > LARGEST_TEXT:
        raise TooLarge(what=f"{file.name} of {name}", limit="1 MiB")
    try:
        document = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnsupportedFile(path=name, problem=f"its {file.name} is damaged.") from error
    if not isinstance(document, dict):
        raise UnsupportedFile(path=name, problem=f"its {file.name} is damaged.")
    return document


def _config(folder: Path, name: str) -> dict[str, Any]:
    """The configuration, if it is one of a class that is built here. Raises UnsupportedFile."""
    config = _json(folder / CONFIG, name)
    if "auto_map" in config:
        problem = "it comes with code of its own, which is never run."
        raise UnsupportedFile(path=name, problem=problem)
    _check_sizes(config, name)
    _kind(config, name)
    return config


def _check_sizes(value: Any, name: str, key: str = "") -> None:
    """Raise TooLarge for a configuration whose structure alone could fill the memory."""
    if isinstance(value, dict):
        for inner, each in value.items():
            _check_sizes(each, name, inner)
    elif isinstance(value, list):
        for each in value:
            _check_sizes(each, name, key)
    elif isinstance(value, int) and COUNTS_LAYERS.search(key) and value > MOST_LAYERS:
        raise TooLarge(what=f"{key} of {name}", limit=f"{MOST_LAYERS} layers")


def _names(task: str) -> frozenset[str]:
    """Classes of transformers for a task: "image_classification" or "semantic_segmentation"."""
    from transformers.models.auto import modeling_auto

    mapping = getattr(modeling_auto, f"MODEL_FOR_{task.upper()}_MAPPING_NAMES")
    listed = (value if isinstance(value, tuple | list) else (value,) for value in mapping.values())
    return frozenset(name for names in listed for name in names)


def _kind(config: dict[str, Any], name: str) -> str:
    """The class that a configuration names. Raises UnsupportedFile for any but vision's."""
    known = _names("image_classification") | _names("semantic_segmentation")
    for kind in config.get("architectures") or ():
        if kind in known:
            return str(kind)
    asked = ", ".join(map(str, config.get("architectures") or ("nothing",)))
    problem = (
        f"its config.json asks for {asked}. Classes of transformers that classify pictures "
        "(…ForImageClassification) or their pixels (…ForSemanticSegmentation) are what is built."
    )
    raise UnsupportedFile(path=name, problem=problem)


def _picture(folder: Path, config: dict[str, Any], name: str) -> dict[str, Any]:
    """Side in pixels, mean and standard deviation that the weights expect of pictures."""
    file = folder / PICTURES
    said = _json(file, name) if file.is_file() else {}
    return picture(config, said)


def picture(config: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """As `_picture`, from what the two files say."""
    size = said.get("crop_size") or said.get("size") or config.get("image_size") or SIDE
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge") or SIDE
    if isinstance(size, list):
        size = size[0]
    mean, std = said.get("image_mean") or IMAGENET_MEAN, said.get("image_std") or IMAGENET_STD
    return {"side": int(size), "mean": [*map(float, mean)], "std": [*map(float, std)]}


def _loaded(folder: Path, config: dict[str, Any], name: str) -> dict[str, Tensor]:
    """The weights under the names that the class of today gives them."""
    import transformers

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    kind = getattr(transformers, _kind(config, name))
    try:
        model, told = kind.from_pretrained(
            folder,
            config=_made(config),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (*REFUSALS, OSError, SafetensorError) as error:
        problem = f"its weights do not fit its configuration ({_first_line(error)})."
        raise UnsupportedFile(path=name, problem=problem) from error
    if missing := sorted(told["missing_keys"]):
        problem = f"its weights lack {', '.join(missing[:3])}{' …' if missing[3:] else ''}."
        raise UnsupportedFile(path=name, problem=problem)
    tensors = model.state_dict()
    return {key: value.clone().contiguous() for key, value in tensors.items()}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _made(config: dict[str, Any]) -> Any:
    """The configuration as transformers' object. Its attention can be exported."""
    from transformers import CONFIG_MAPPING

    made = CONFIG_MAPPING[config["model_type"]].from_dict(config)
    made._attn_implementation = "eager"
    return made


# Building


def construct(base: Base) -> nn.Module:
    """The module with random weights. Its forward takes x_NCHW and returns logits alone."""
    must_have_transformers()
    import transformers

    file = file_of(base)
    config = document(base)["config"]
    try:
        model = getattr(transformers, kind_of(base))(_made(config))
    except REFUSALS as error:
        problem = f"its configuration cannot be built ({_first_line(error)})."
        raise UnsupportedFile(path=base.name, problem=problem) from error
    model.__class__ = _plain_class(type(model), file.task)
    made: nn.Module = model
    return made


def _plain_class(kind: type, task: str) -> type:
    """A class that returns logits_NK, or logits_NKHW of the picture's size, and no object."""

    def forward(self: Any, x_NCHW: Tensor) -> Tensor:
        result: Any = kind.forward(self, pixel_values=x_NCHW)  # type: ignore[attr-defined]
        logits: Tensor = result.logits if "logits" in result else result[0]
        if task != "segmentation":
            return logits
        size = x_NCHW.shape[-2:]
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)

    return type(kind.__name__, (kind,), {"forward": forward})


def build(
    base: Base, store: "Store", device: "torch.device | str", *, load_weights: bool
) -> nn.Module:
    """The module of a base, in training mode. Raises PackageMissing and FileNotFoundError."""
    if torch.device(device).type == "meta":
        return construct_weightless(lambda: construct(base)).train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(base.seed)
        module = construct(base)
    if load_weights and file_of(base).sha256:
        module.load_state_dict(values(base, store))
    return module.train().to(device)


def values(base: Base, store: "Store") -> dict[str, Tensor]:
    """The weights of a base by the names in its module; {} where they are random."""
    digest = file_of(base).sha256
    return store.get_tensors(digest) if digest else {}


def kind_of(base: Base) -> str:
    """Name of the class of transformers that a base's module is of."""
    return _kind(document(base)["config"], base.name)


def file_of(base: Base) -> UserFile:
    assert base.file is not None
    return base.file


def document(base: Base) -> dict[str, Any]:
    """What the recipe keeps of the two configurations: "config" and "picture"."""
    found: dict[str, Any] = json.loads(file_of(base).config)
    return found
