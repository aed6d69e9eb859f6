"""Modules of transformers' classes for pictures, from a recipe's configuration and weights.

Anybody may have written a configuration: whatever transformers raises on it becomes one error, and
the size of the structure that it asks for is found out before memory is taken.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraft.errors import NetgraftError, PackageMissing, TooLarge, UnsupportedFile
from netgraft.language import Message
from netgraft.models.files.kept import file_of
from netgraft.models.recipe import Base
from netgraft.models.sources.huggingface import config as hf_config
from netgraft.models.untrusted.patching import override
from netgraft.models.weightless import construct_weightless

if TYPE_CHECKING:
    from netgraft.store.store import Store

MOST_MODULES = 20_000
"""Modules that a structure may have; a configuration could ask for any number of layers."""
SPARE_ELEMENTS = 2**26
"""Elements that a model may have beyond its weights, in buffers that it computes."""

MAPPINGS = {
    "IMAGE_CLASSIFICATION": "classification",
    "SEMANTIC_SEGMENTATION": "segmentation",
    "VIDEO_CLASSIFICATION": "video",
}
"""Lists that transformers keeps of its classes, and the task of what is in each."""


def must_have_transformers() -> None:
    """Raise PackageMissing where transformers is not installed."""
    if find_spec("transformers") is None:
        raise PackageMissing(what="hf/…", package="transformers", extra="hf")


def library() -> str:
    """The version of transformers, which decides how weights are read."""
    return version("transformers")


@cache
def _tasks() -> dict[str, str]:
    """Every class of transformers that is built, and its task as the catalogue names it."""
    from transformers.models.auto import modeling_auto

    found: dict[str, str] = {}
    for mapping, task in MAPPINGS.items():
        listed = getattr(modeling_auto, f"MODEL_FOR_{mapping}_MAPPING_NAMES").values()
        for names in listed:
            each = names if isinstance(names, tuple | list) else (names,)
            found |= dict.fromkeys(each, task)
    return found


def kind_in(config: dict[str, Any], name: str) -> str:
    """The class that a configuration names. Raises UnsupportedFile for any but vision's."""
    asked: list[str] = config.get("architectures") or []
    for kind in asked:
        if kind in _tasks():
            return kind
    problem = Message(
        "its config.json asks for {asked}. Classes of transformers that "
        "classify pictures (…ForImageClassification), their pixels (…ForSemanticSegmentation) or "
        "videos (…ForVideoClassification) are what is built.",
        asked=asked or Message("nothing"),
    )
    raise UnsupportedFile(path=name, problem=problem)


def task_in(config: dict[str, Any], name: str) -> str:
    """The task of the class that a configuration names. Raises UnsupportedFile."""
    return _tasks()[kind_in(config, name)]


def check_runs(base: Base, elements: int) -> None:
    """Try on the meta device, where nothing costs memory, that a base's model takes pictures.

    `elements` is how many numbers its weights hold.

    Raises UnsupportedFile where it is larger than its weights, or does not.
    """
    with torch.device("meta"), _few_modules(base.name):
        module = construct(base).eval()
    values = [*module.parameters(), *module.buffers()]
    wanted = sum(value.numel() for value in values)
    if wanted > 2 * elements + SPARE_ELEMENTS:
        numbers = Message(
            "it asks for {wanted:,} numbers, they hold {held:,}", wanted=wanted, held=elements
        )
        raise _misfit(base.name, numbers)
    shape = file_of(base).input_shape
    with (
        torch.no_grad(),
        _refused_by_transformers(
            base.name, Message("its model cannot take pictures of {shape}", shape=str(shape))
        ),
    ):
        logits = module(torch.zeros(2, *shape, device="meta"))
        if not isinstance(logits, Tensor) or logits.ndim not in (2, 4):
            raise TypeError("its answer is no tensor of logits")


def loaded(folder: Path, config: dict[str, Any], name: str) -> dict[str, Tensor]:
    """The weights under the names that the installed class gives them."""
    import transformers

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    kind = getattr(transformers, kind_in(config, name))
    with _refused_by_transformers(name, Message("its config.json does not fit its weights")):
        model, report = kind.from_pretrained(
            folder,
            config=_made(config),
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    if missing := sorted(report["missing_keys"]):
        listed = [*missing[:3], *(["…"] if missing[3:] else [])]
        problem = Message("its weights lack {names}.", names=listed)
        raise UnsupportedFile(path=name, problem=problem)
    for key, there, wanted in sorted(report["mismatched_keys"]):
        shapes = {"wanted": str(tuple(wanted)), "there": str(tuple(there))}
        raise _misfit(
            name, Message("{key} is {wanted} by it and {there} in them", key=key, **shapes)
        )
    return dict(_apart(model.state_dict()))


def _apart(tensors: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The same tensors; those that share memory with an earlier one are copied."""
    seen: set[int] = set()
    for key, value in tensors.items():
        place = value.untyped_storage().data_ptr()
        yield key, value.clone() if place in seen else value.contiguous()
        seen.add(place)


def _misfit(name: str, problem: Message) -> UnsupportedFile:
    mismatch = Message("its config.json does not fit its weights: {problem}.", problem=problem)
    return UnsupportedFile(path=name, problem=mismatch)


@contextmanager
def _refused_by_transformers(name: str, problem: Message) -> Iterator[None]:
    """Whatever transformers raises on a configuration becomes UnsupportedFile."""
    try:
        yield
    except NetgraftError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        report = f"{type(error).__name__}: {lines[0]}"
        said = Message("{problem} ({report}).", problem=problem, report=report)
        raise UnsupportedFile(path=name, problem=said) from error


@contextmanager
def _few_modules(name: str) -> Iterator[None]:
    """Within this block and thread, one module more than MOST_MODULES raises TooLarge."""
    made = count(1)

    def initialise(
        original: Callable[..., None], module: nn.Module, *args: Any, **kwargs: Any
    ) -> None:
        if next(made) > MOST_MODULES:
            what = Message("The structure of {name}", name=name)
            raise TooLarge(what=what, limit=Message("{most:,} modules", most=MOST_MODULES))
        original(module, *args, **kwargs)

    with override(nn.Module, "__init__", initialise):
        yield


def _made(config: dict[str, Any]) -> Any:
    """The configuration as transformers' object. Its attention can be exported."""
    from transformers import CONFIG_MAPPING

    made = CONFIG_MAPPING[config["model_type"]].from_dict(config)
    made._attn_implementation = "eager"
    return made


# Building


def construct(base: Base) -> nn.Module:
    """The module with random weights. Its forward takes one tensor and returns logits alone."""
    must_have_transformers()
    import transformers

    file = file_of(base)
    config = hf_config.document(base)["config"]
    with _refused_by_transformers(base.name, Message("its config.json cannot be built")):
        model = getattr(transformers, kind_of(base))(_made(config))
    model.__class__ = _plain_class(type(model), file.task)
    made: nn.Module = model
    return made


def _plain_class(kind: type, task: str) -> type:
    """A class that returns logits_NK, or logits_NKHW of the picture's size, and no object.

    Its forward takes x_NCHW; for videos x_NCTHW, where transformers has the frames first.
    """

    def forward(self: Any, x: Tensor) -> Tensor:
        given = x.transpose(1, 2) if task == "video" else x
        result: Any = kind.forward(self, **{kind.main_input_name: given})  # type: ignore[attr-defined]
        logits: Tensor = result.logits if "logits" in result else result[0]
        logits = logits.squeeze(1) if logits.ndim == 3 else logits  # those of one token
        if task != "segmentation":
            return logits
        size = x.shape[-2:]
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)

    return type(kind.__name__, (kind,), {"forward": forward})


def build(
    base: Base, store: "Store | None", device: "torch.device | str", *, load_weights: bool
) -> nn.Module:
    """The module of a base, in training mode. Raises PackageMissing and FileNotFoundError."""
    if torch.device(device).type == "meta":
        return construct_weightless(lambda: construct(base)).train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(base.seed)
        module = construct(base)
    if load_weights and file_of(base).sha256:
        assert store is not None
        module.load_state_dict(values(base, store))
    return module.train().to(device)


def values(base: Base, store: "Store") -> dict[str, Tensor]:
    """The weights of a base by the names in its module; {} where they are random."""
    digest = file_of(base).sha256
    return store.get_tensors(digest) if digest else {}


def kind_of(base: Base) -> str:
    """Name of the class of transformers that a base's module is of."""
    return kind_in(hf_config.document(base)["config"], base.name)


def argument_of(base: Base) -> str:
    """The name that the forward of a base's class has for its pictures."""
    import transformers

    argument: str = getattr(transformers, kind_of(base)).main_input_name
    return argument
