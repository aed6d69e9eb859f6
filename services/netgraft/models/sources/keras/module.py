"""A `.keras` file as a torch module, through Keras 3 on its torch backend.

Keras keeps its variables beside its layers, where torch's tools do not look. So each layer of the
file becomes a torch module that owns its parameters and hands them to Keras's own stateless call;
Dense, BatchNormalization and Dropout become torch's layers of that name, because surgery and
training know those. Pictures come in as netgraft has them, NCHW, and are turned to Keras's NHWC.

Keras is imported when a file is built and not before; `archive` says which files are built.
"""

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from netgraft.errors import UnsafeFile, UnsupportedFile
from netgraft.language import Message, quoted
from netgraft.models.sources.keras.archive import CONFIG, WEIGHTS, is_buildable, must_have_keras

PARTS = (CONFIG, "metadata.json", WEIGHTS)
"""Members of a file that are read; assets are not, which only layers that are not built have."""
SPARE_ELEMENTS = 2**20
"""Elements that a model may have beyond its weights."""
DROPPED = ("softmax", "sigmoid")
"""Last activations that are left out: netgraft's losses take logits."""


def load(file: BinaryIO, name: str) -> nn.Module:
    """The module of a file, on the CPU, in training mode.

    Raises PackageMissing, UnsafeFile and UnsupportedFile.
    """
    must_have_keras()
    with zipfile.ZipFile(file) as archive:
        parts = {part: archive.read(part) for part in PARTS if part in archive.namelist()}
    if not is_buildable(parts[CONFIG]):
        raise UnsafeFile(name=name, classes=Message("classes that are not Keras's own"))
    elements = _elements(parts[WEIGHTS], name)
    keras = _keras()
    with _refused_by_keras(name):
        with keras.device("meta"):  # where nothing costs memory
            config = json.loads(parts[CONFIG])
            wanted = keras.saving.deserialize_keras_object(config, safe_mode=True).count_params()
        if wanted > elements + SPARE_ELEMENTS:
            raise _Misfit(
                Message(
                    "it asks for {wanted:,} numbers, its weights hold {held:,}",
                    wanted=wanted,
                    held=elements,
                )
            )
        with _archived(parts) as copy:
            model = keras.saving.load_model(copy, compile=False, safe_mode=True)
        if not isinstance(model, keras.Sequential | keras.src.models.functional.Functional):
            raise _Misfit(Message("it is neither a Sequential nor a functional model"))
        return KerasModel(model).train()


def input_shape(module: nn.Module, default: int = 224) -> tuple[int, ...]:
    """Shape of one picture, C×H×W; () where the model takes none."""
    assert isinstance(module, KerasModel)
    shape = module.keras_shape
    if len(shape) != 4:
        return ()
    height, width, channels = (
        shape[1:] if module.has_channels_last else (shape[2], shape[3], shape[1])
    )
    return (channels or 3, height or default, width or default)


def rescales(module: nn.Module) -> bool:
    """True if the model itself brings the values of pixels, 0 to 255, to its own range.

    Keras keeps how pictures are prepared in the model, or leaves it to the program around it.
    """
    kinds = {type(layer).__name__ for layer in module.modules()}
    return bool(kinds & {"Rescaling", "Normalization"})


def _keras() -> Any:
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    return keras


@contextmanager
def _archived(parts: dict[str, bytes]) -> Iterator[str]:
    """The path of a file with these parts and no others."""
    with tempfile.NamedTemporaryFile(suffix=".keras") as copy:
        with zipfile.ZipFile(copy, "w") as archive:
            for part, data in parts.items():
                archive.writestr(part, data)
        copy.flush()
        yield copy.name


class _Misfit(Exception):
    """A problem that netgraft itself finds, as a Message."""


@contextmanager
def _refused_by_keras(name: str) -> Iterator[None]:
    """Whatever Keras raises on a user's file becomes UnsupportedFile."""
    try:
        yield
    except Exception as error:
        line = str(error).strip().partition("\n")[0] or type(error).__name__
        report = error.args[0] if isinstance(error, _Misfit) else quoted(line)
        problem = Message("Keras does not take it ({report}).", report=report)
        raise UnsupportedFile(path=name, problem=problem) from error


def _elements(data: bytes, name: str) -> int:
    """The number of elements in the weights. Raises UnsafeFile where they refer to other files."""
    import h5py

    total = 0

    def outside(group: Any) -> bool:
        for key in group:
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                return True
            item = group[key]
            if isinstance(item, h5py.Group) and outside(item):
                return True
            if isinstance(item, h5py.Dataset):
                nonlocal total
                total += min(item.size or 0, item.id.get_storage_size())  # a byte each at least
                if item.external or item.is_virtual:
                    return True
        return False

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            if outside(file):
                raise UnsafeFile(name=name, classes=Message("weights in other files"))
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise UnsupportedFile(path=name, problem=Message("its weights are damaged.")) from error
    return total


# Modules


class Graph(nn.Module):
    """A Sequential or functional model: its layers by name, called as its graph says."""

    def __init__(self, model: Any, *, is_last: bool = True) -> None:
        super().__init__()
        functional = getattr(model, "_functional", None) or model
        self._held = (functional,)  # in a tuple, or torch would take it for a child
        self.keras_shape = tuple(functional.inputs[0].shape)
        self._names: dict[int, str] = {}
        outputs = {id(history) for history in (_maker(out) for out in functional.outputs)}
        for layer in functional.layers:
            name = _free(layer.name.replace(".", "_").replace("/", "_"), self._modules)
            self._names[id(layer)] = name
            self.add_module(name, _module(layer, is_last=is_last and id(layer) in outputs))

    def forward(self, *inputs: Tensor, **_: Any) -> Any:
        (functional,) = self._held
        given = inputs[0] if len(inputs) == 1 else list(inputs)
        return functional._run_through_graph(given, operation_fn=self._called)

    def _called(self, operation: Any) -> Any:
        """The module of a layer; an operator, such as + between two layers, has none."""
        name = self._names.get(id(operation))
        return getattr(self, name) if name else partial(_operated, operation)


class KerasModel(Graph):
    """A whole Keras model, which takes x_NCHW."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        formats = [getattr(layer, "data_format", None) for layer in model._flatten_layers()]
        self.has_channels_last = "channels_first" not in formats

    def forward(self, x: Tensor, **_: Any) -> Any:  # type: ignore[override]  # one picture, or row
        """x_NCHW → what the model makes of it, with logits where it ends in a softmax."""
        turned = self.has_channels_last and x.ndim == 4
        return super().forward(x.permute(0, 2, 3, 1) if turned else x)


def _operated(operation: Any, *inputs: Any, **said: Any) -> Any:
    with _on(_first(inputs)):
        return operation(*inputs, **said)


def _first(inputs: Any) -> Tensor:
    return next(x for x in tree_leaves(inputs) if isinstance(x, Tensor))


def _maker(tensor: Any) -> Any:
    return tensor._keras_history.operation


def _free(name: str, taken: Any) -> str:
    free, number = name, 1
    while free in taken or hasattr(nn.Module, free):
        free, number = f"{name}_{number}", number + 1
    return free


def _module(layer: Any, *, is_last: bool) -> nn.Module:
    keras = _keras()
    if isinstance(layer, keras.Model):
        return Graph(layer, is_last=is_last)
    if type(layer) is keras.layers.Dense:
        return Dense.of(layer, is_last=is_last)
    if type(layer) is keras.layers.BatchNormalization and layer.scale and layer.center:
        return BatchNorm.of(layer)
    if type(layer) is keras.layers.Dropout:
        return _Called(nn.Dropout(layer.rate))
    dropped = type(layer) is keras.layers.Softmax or (
        type(layer) is keras.layers.Activation and layer.activation.__name__ in DROPPED
    )
    return _Called(nn.Identity()) if is_last and dropped else KerasLayer.of(layer)


class _Called(nn.Sequential):
    """A layer of torch in the place of one of Keras's, which is called with more arguments."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(layer)

    def forward(self, x: Tensor, **_: Any) -> Tensor:  # type: ignore[override]  # Keras says more
        result: Tensor = self[0](x)
        return result


class Dense(nn.Linear):
    """keras.layers.Dense: a Linear, and the activation behind it."""

    activation: Any

    @classmethod
    def of(cls, layer: Any, *, is_last: bool) -> "Dense":
        kernel = _value(layer.kernel)
        inputs, outputs = kernel.shape
        made = cls(inputs, outputs, bias=layer.use_bias)
        with torch.no_grad():
            made.weight.copy_(kernel.T)
            if layer.use_bias:
                made.bias.copy_(_value(layer.bias))
        name = getattr(layer.activation, "__name__", "")
        plain = name == "linear" or (is_last and name in DROPPED)
        made.activation = None if plain else layer.activation
        return made

    def forward(self, x: Tensor, **_: Any) -> Tensor:  # type: ignore[override]  # Keras says more
        y = super().forward(x)
        if self.activation is None:
            return y
        with _on(y):
            result: Tensor = self.activation(y)
            return result


class BatchNorm(nn.BatchNorm2d):
    """keras.layers.BatchNormalization over any axis."""

    axis: int

    @classmethod
    def of(cls, layer: Any) -> "BatchNorm":
        gamma = _value(layer.gamma)
        made = cls(len(gamma), eps=layer.epsilon, momentum=1 - layer.momentum)
        made.axis = layer.axis
        with torch.no_grad():
            made.weight.copy_(gamma)
            made.bias.copy_(_value(layer.beta))
        assert made.running_mean is not None
        assert made.running_var is not None
        made.running_mean.copy_(_value(layer.moving_mean))
        made.running_var.copy_(_value(layer.moving_variance))
        return made

    def forward(self, x: Tensor, **_: Any) -> Tensor:  # type: ignore[override]  # Keras says more
        return super().forward(x.movedim(self.axis, 1)).movedim(1, self.axis)

    def _check_input_dim(self, input: Tensor) -> None:  # torch's name
        """Any number of dimensions will do."""


class KerasLayer(nn.Module):
    """A layer of Keras that owns its variables as torch does."""

    @classmethod
    def of(cls, layer: Any) -> "KerasLayer":
        """Of a class that is called as Keras's: pictures and tables show it."""
        kind: type[KerasLayer] = type(type(layer).__name__, (cls,), {})
        return kind(layer)

    def __init__(self, layer: Any) -> None:
        super().__init__()
        layer.trainable = True
        self._held = (layer,)
        self._trained = [self._take(v, train=True) for v in layer.trainable_variables]
        self._others = [self._take(v, train=False) for v in layer.non_trainable_variables]

    def _take(self, variable: Any, *, train: bool) -> str:
        name = _free(variable.name.replace(".", "_").replace("/", "_"), dir(self))
        value = _value(variable)
        if train:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)
        return name

    def forward(self, *inputs: Any, **said: Any) -> Any:
        (layer,) = self._held
        if layer._call_has_training_arg:
            said["training"] = self.training
        trained = [getattr(self, name) for name in self._trained]
        others = [getattr(self, name) for name in self._others]
        with _on(_first(inputs)):
            result, now = layer.stateless_call(trained, others, *inputs, **said)
        if self.training:
            for buffer, value in zip(others, now, strict=True):
                buffer.copy_(value)
        return result


def _value(variable: Any) -> Tensor:
    value: Tensor = variable.value.detach().cpu().clone()
    return value


def _on(like: Tensor) -> Any:
    """Within it, Keras makes its tensors where this one is."""
    from keras.src.backend.torch.core import device_scope

    return device_scope(str(like.device))
