"""Recordings of a forward, in both ways."""

import threading

import pytest
import torch
from tests.graph.conftest import Block, Residual, on_meta, picture
from torch import Tensor, nn

from netgraft.errors import CannotDraw
from netgraft.graph.capture.capture import capture, sizes
from netgraft.graph.capture.exporting import export
from netgraft.graph.capture.recording import Recording, Weight, values_of
from netgraft.graph.capture.tracing import trace


class Given:
    """A module as a Subject."""

    name = "given"

    def __init__(self, make: type[nn.Module], inputs: tuple[Tensor, ...]) -> None:
        self.make = make
        self.given = inputs

    def module(self, device: str) -> nn.Module:
        return self.make().to(device).eval()

    def inputs(self, device: str, batch: int) -> tuple[Tensor, ...]:
        return tuple(torch.zeros(batch, *x.shape[1:], device=device) for x in self.given)


def flow(recording: Recording) -> list[tuple[str, list[str]]]:
    """Each operator with the operators (or inputs) whose results it reads."""
    maker = {value: value.name for value in recording.inputs}
    found = []
    for step in recording.steps:
        found.append((step.operator, [maker[value] for value in values_of(step)]))
        maker |= dict.fromkeys(step.outputs, step.operator)
    return found


def test_both_ways_record_the_same_operators_and_edges() -> None:
    module = on_meta(Residual())
    exported = export(module, picture())
    traced = trace(module, picture())
    assert [step.operator for step in exported.steps] == [step.operator for step in traced.steps]
    plain = [[name.replace("x_nchw", "input") for name in read] for _, read in flow(exported)]
    assert plain == [read for _, read in flow(traced)]


def test_an_exported_shape_is_a_formula_over_the_batch() -> None:
    class Fold(nn.Module):
        def forward(self, x_NCHW: Tensor) -> Tensor:
            return x_NCHW.reshape(x_NCHW.shape[0] * 3, -1)

    recording = export(Fold(), picture())
    assert recording.inputs[0].shape == ("N", 3, 8, 8)
    assert recording.steps[-1].outputs[0].shape == ("3·N", 64)


def test_two_inputs_with_the_same_batch_share_its_name() -> None:
    class Pair(nn.Module):
        def forward(self, a_NC: Tensor, b_NC: Tensor) -> Tensor:
            return a_NC + b_NC

    inputs = (torch.empty(2, 4, device="meta"), torch.empty(2, 4, device="meta"))
    recording = export(Pair(), inputs)
    assert [value.shape for value in recording.inputs] == [("N", 4), ("N", 4)]


def test_outputs_are_named_by_their_keys() -> None:
    class Named(nn.Module):
        def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
            return {"out": x_NCHW + 1, "aux": x_NCHW * 2}

    class Two(nn.Module):
        def forward(self, x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
            return x_NCHW + 1, x_NCHW * 2

    for record in (export, trace):
        assert {name for name, _ in record(Named(), picture()).outputs} == {"out", "aux"}
        assert [name for name, _ in record(Two(), picture()).outputs] == ["output[0]", "output[1]"]
        assert [name for name, _ in record(Block(), _wide()).outputs] == ["output"]


def _wide() -> tuple[Tensor, ...]:
    return (torch.zeros(2, 4, 8, 8),)


def test_a_write_into_a_view_leads_to_the_next_read_of_the_whole() -> None:
    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.b = nn.Linear(4, 4)

        def forward(self, x_NC: Tensor) -> Tensor:
            y_NC = self.a(x_NC)
            y_NC[:, 0] = self.b(x_NC)[:, 1]
            return torch.relu(y_NC)

    module = on_meta(Writes())
    for record in (export, trace):
        recording = record(module, (torch.empty(2, 4, device="meta"),))
        *_, last = flow(recording)
        assert last == ("aten.relu", ["aten.copy"])


def test_weights_are_known_by_name_and_by_what_trains() -> None:
    module = on_meta(Residual())
    module.stem.requires_grad_(False)  # type: ignore[union-attr]
    for record in (export, trace):
        weights = {
            argument.name: argument
            for step in record(module, picture()).steps
            for argument in step.arguments.values()
            if isinstance(argument, Weight)
        }
        assert weights["stem.weight"].shape == (4, 3, 3, 3)
        assert not weights["stem.weight"].trainable
        assert weights["blocks.1.conv.bias"].trainable


def test_code_that_reads_values_is_watched_on_the_cpu() -> None:
    class Depends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 1)

        def forward(self, x_NCHW: Tensor) -> Tensor:
            y_NCHW: Tensor = self.stem(x_NCHW)
            return y_NCHW.relu() if y_NCHW.sum().item() > -1e9 else y_NCHW

    recording, module = capture(Given(Depends, picture()))
    assert recording.method == "modules"
    assert next(module.parameters()).device.type == "cpu"
    assert ("aten.relu", ["aten.conv2d"]) in flow(recording)


def test_what_torch_export_takes_is_exported() -> None:
    recording, module = capture(Given(Residual, picture()))
    assert recording.method == "export"
    assert next(module.parameters()).is_meta


def test_a_model_whose_code_fails_cannot_be_drawn_and_its_files_stay_unnamed() -> None:
    class Broken(nn.Module):
        def forward(self, x_NCHW: Tensor) -> Tensor:
            raise ValueError("no\n  File /secret/place.py")

    with pytest.raises(CannotDraw) as caught:
        capture(Given(Broken, picture()))
    assert "no" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_failed_trace_leaves_no_hooks_behind() -> None:
    class Fails(Block):
        def forward(self, x_NCHW: Tensor) -> Tensor:
            super().forward(x_NCHW)
            raise RuntimeError("late")

    module = Fails()
    with pytest.raises(RuntimeError, match="late"):
        trace(module, _wide())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_several_threads_may_draw_at_once() -> None:
    found: list[Recording] = []

    def draw() -> None:
        found.append(capture(Given(Residual, picture()))[0])

    threads = [threading.Thread(target=draw) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len({recording.steps[-1].outputs[0] for recording in found}) == 1


def test_sizes_count_a_shared_parameter_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4, bias=False)
            self.b = nn.Linear(4, 4, bias=False)
            self.b.weight = self.a.weight

    found = sizes(Tied())
    assert (found[""].parameters, found["a"].parameters, found["b"].parameters) == (16, 16, 16)
