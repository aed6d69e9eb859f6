"""Taking a model away: portable files, and the code that rebuilds it."""

import contextlib
import io
import logging
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from netgraft.errors import CannotExport, DetectorFormat, InvalidValue
from netgraft.language import quoted
from netgraft.models import answers
from netgraft.models.bases import example_inputs, task
from netgraft.models.build import build
from netgraft.models.export import card, code
from netgraft.models.export.whole import PICTURES, PROBABILITIES, Whole, must_be_whole
from netgraft.models.layers.adapters import merge_adapters
from netgraft.models.naming import short_id
from netgraft.models.recipe import Recipe
from netgraft.models.source import source_of
from netgraft.store.store import Store

SUFFIXES = {
    "safetensors": "safetensors",
    "state_dict": "pth",
    "pt2": "pt2",
    "onnx": "onnx",
    "torchscript": "pt",
    "python": "py",
    "card": "md",
}
"""Formats and the suffixes of their files."""

FIXED = ("pt2", "onnx")
"""Formats of one tensor in and tensors of known shapes out: no detector fits them."""

Inputs = tuple[Tensor | list[Tensor], ...]


def file_name(recipe: Recipe, kind: str) -> str:
    """Name for the user's file, such as "resnet50-1a2b3c4d5e6f.onnx"."""
    stem = source_of(recipe.base).stem(recipe.base)
    return f"{stem}-{short_id(recipe.id)}.{SUFFIXES[kind]}"


def write(
    recipe: Recipe, store: Store, kind: str, file: Path, *, with_preprocessing: bool = False
) -> None:
    """Write the model to `file` in one of the formats.

    Each carries the names of the classes and the preprocessing. `with_preprocessing`: the model
    itself normalises pictures (uint8) and answers with probabilities.

    Raises InvalidValue for another format, DetectorFormat and CannotExport when a format
    cannot take this model, and WeightsUnavailable.
    """
    if kind not in SUFFIXES:
        raise InvalidValue(name="format", value=kind, expected=", ".join(SUFFIXES))
    if not with_preprocessing and (text := _text(recipe, store, kind)):
        file.write_text(text, encoding="utf-8")
        return
    if kind in FIXED and _detects(recipe):
        others = ", ".join(other for other in WRITERS if other not in FIXED)
        raise DetectorFormat(model=recipe.title, format=kind, others=f"python, {others}")
    if with_preprocessing:
        must_be_whole(recipe, kind)
    model = build(recipe, store).eval()
    # The code that loads a state dict has adapters of its own; all others get a plain model.
    plain = model if kind == "state_dict" else merge_adapters(model)
    made = Whole(plain, answers.answering(recipe)).eval() if with_preprocessing else plain
    WRITERS[kind](made, recipe, file)


def _text(recipe: Recipe, store: Store, kind: str) -> str:
    """The text of a format that needs no built model; "" for the others."""
    if kind == "python":
        return code.python(recipe, file_name(recipe, "state_dict"), store)
    return card.markdown(recipe, store) if kind == "card" else ""


def _detects(recipe: Recipe) -> bool:
    return task(recipe.base) == "detection"


def _safetensors(model: nn.Module, recipe: Recipe, file: Path) -> None:
    # safetensors refuses tensors that share memory; a copy of each is what a reader expects.
    state = {name: value.detach().clone().contiguous() for name, value in _state(model)}
    carried = {"netgraft.recipe": recipe.canonical(), "netgraft.answers": _document(recipe, model)}
    save_file(state, str(file), metadata={"format": "pt", **carried})


def _state_dict(model: nn.Module, recipe: Recipe, file: Path) -> None:
    torch.save(dict(_state(model)), file)
    # Beside the tensors, where torch.export and torch.jit have their extra files, too.
    with zipfile.ZipFile(file, "a") as archive:
        root = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{root}/extra/{answers.FILE}", _document(recipe, model))


def _pt2(model: nn.Module, recipe: Recipe, file: Path) -> None:
    with _explained(recipe, "pt2"):
        inputs, shapes = _dynamic(recipe, model)
        program = torch.export.export(model, inputs, dynamic_shapes=shapes)
        with file.open("wb") as out:
            torch.export.save(program, out, extra_files={answers.FILE: _document(recipe, model)})


def _onnx(model: nn.Module, recipe: Recipe, file: Path) -> None:
    inputs, shapes = _dynamic(recipe, model)
    names = isinstance(model, Whole)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with _explained(recipe, "onnx"), contextlib.redirect_stdout(io.StringIO()):
        program = torch.onnx.export(
            model,
            inputs,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=[PICTURES] if names else None,
            output_names=[PROBABILITIES] if names else None,
            verbose=False,
        )
        assert program is not None, "dynamo's exporter returns one"
        program.model.metadata_props["netgraft"] = _document(recipe, model)
        program.save(str(file), external_data=False)


def _torchscript(model: nn.Module, recipe: Recipe, file: Path) -> None:
    with _explained(recipe, "torchscript"), torch.no_grad():
        # A trace would keep the number of boxes that one example gave.
        make = _scripted if _detects(recipe) else _traced
        extra = {answers.FILE: _document(recipe, model)}
        torch.jit.save(make(model, recipe), str(file), _extra_files=extra)


def _scripted(model: nn.Module, _recipe: Recipe) -> torch.jit.ScriptModule:
    script: Callable[..., torch.jit.ScriptModule] = torch.jit.script
    return script(model)


def _traced(model: nn.Module, recipe: Recipe) -> torch.jit.ScriptModule:
    trace: Callable[..., torch.jit.ScriptModule] = torch.jit.trace
    # The check would run the same input again: in evaluation mode that shows nothing.
    inputs, _ = _dynamic(recipe, model)
    return trace(model, inputs, strict=False, check_trace=False)


WRITERS: dict[str, Callable[[nn.Module, Recipe, Path], None]] = {
    "safetensors": _safetensors,
    "state_dict": _state_dict,
    "pt2": _pt2,
    "onnx": _onnx,
    "torchscript": _torchscript,
}


def _state(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return iter(model.state_dict().items())


def _document(recipe: Recipe, model: nn.Module) -> str:
    """The names of the classes and the preprocessing, and what the file takes and answers with."""
    if isinstance(model, Whole):
        takes = "N x 3 x side x side, uint8, RGB, resized and cropped as said here"
        return answers.document(recipe, takes=takes, answers="probabilities")
    takes = "N x 3 x side x side, float32, each channel (value / 255 - mean) / deviation"
    return answers.document(recipe, takes=takes, answers="logits")


def _dynamic(recipe: Recipe, model: nn.Module) -> tuple[Inputs, tuple[object, ...]]:
    """Arguments of one forward pass, and a batch dimension that may vary.

    A tuned model gets them in the size that it was tuned for.
    """
    inputs = example_inputs(recipe.base, device="cpu")
    if recipe.training and recipe.training.answering:
        side = recipe.training.answering.side
        inputs = tuple(torch.zeros(2, 3, side, side) for _ in inputs)
    if isinstance(model, Whole):
        inputs = tuple(x.to(torch.uint8) for x in inputs if isinstance(x, Tensor))
    batch = torch.export.Dim("batch")
    return inputs, tuple({0: batch} for _ in inputs)


@contextlib.contextmanager
def _explained(recipe: Recipe, kind: str) -> Iterator[None]:
    """Raise one error of ours for all that torch's exporters raise.

    They document no common class: dynamo's errors derive from RuntimeError, torch.export's
    from RuntimeError, ValueError and AssertionError, the ONNX exporter's from RuntimeError.
    """
    try:
        yield
    except (RuntimeError, ValueError, AssertionError, TypeError, NotImplementedError) as error:
        lines = str(error).strip().splitlines()
        problem = quoted(lines[0][:200] if lines else type(error).__name__)
        raise CannotExport(model=recipe.title, format=kind, problem=problem) from error
