"""TensorBoard's graph of a model, and its process."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from netgraft.errors import InvalidValue
from netgraft.tuning.board.asking import TensorBoard
from netgraft.tuning.board.graph import graph


class Residual(nn.Module):
    """Adds what it was given to what a layer makes of it, twice by the same layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.layer(x)) + x


def test_a_graph_has_every_operator_in_its_module_and_what_flows_between_them() -> None:
    with torch.device("meta"):
        module = Residual()
    nodes = {node.name: list(node.input) for node in graph(module, (2, 4)).node}
    assert nodes["layer/0/weight"] == nodes["input"] == []
    assert nodes["add"] == ["layer/1/relu_2", "input"]
    assert nodes["layer/1/relu"] == ["layer/0/addmm"]
    assert "layer/1/relu" in nodes["layer/0/addmm_2"]
    assert all(given in nodes for inputs in nodes.values() for given in inputs)


def test_the_process_starts_again_when_it_has_ended(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path / "runs")
    try:
        assert board.ask("GET", "data/runs").status == 200
        first = board._process
        assert first
        first.kill()
        first.wait(10)
        assert board.ask("GET", "data/runs").status == 200
        assert board._process is not first
        for method, path in (("PUT", ""), ("GET", "a b"), ("GET", "a\r\nhost: x")):
            with pytest.raises(InvalidValue):
                board.ask(method, path)
        folder = board._folder
        assert folder.stat().st_mode & 0o77 == 0
    finally:
        board.close()
    assert not folder.exists()
