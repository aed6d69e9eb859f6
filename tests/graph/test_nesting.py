"""A recording becomes modules within modules."""

import torch
from tests.graph.conftest import Block, Residual, graph_of
from torch import Tensor, nn

from netgraft.graph.nesting import Graph, Group, Node, Operation


def outline(graph: Graph) -> list[object]:
    """Names, with a list for the nodes in a group."""

    def lines(nodes: tuple[Node, ...]) -> list[object]:
        return [
            [node.name, *lines(node.nodes)] if isinstance(node, Group) else node.name
            for node in nodes
        ]

    return lines(graph.nodes)


def named(graph: Graph, name: str) -> Operation:
    return next(operation for operation in graph.operations() if operation.name == name)


def test_modules_nest_and_a_module_of_one_operator_is_that_operator() -> None:
    graph = graph_of(Residual())
    block = ["conv", "relu"]
    assert outline(graph) == [
        "stem",
        [
            "blocks",
            *(
                [f"blocks.{i}", *(f"blocks.{i}.{name}" for name in block), f"blocks.{i}/add"]
                for i in (0, 1)
            ),
        ],
        "mean",
        "head.0",
    ]
    assert named(graph, "head.0").type == "Linear"
    assert named(graph, "blocks.1/add").type == ""


def test_a_group_has_the_edges_that_cross_its_border() -> None:
    blocks = graph_of(Residual()).nodes[1]
    assert isinstance(blocks, Group)
    assert [value.shape for value in blocks.inputs] == [("N", 4, 8, 8)]
    assert [value.shape for value in blocks.outputs] == [("N", 4, 8, 8)]
    first, second = blocks.nodes
    assert first.outputs == second.inputs  # type: ignore[union-attr]


def test_a_module_called_twice_is_drawn_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 1)
            self.block = Block()

        def forward(self, x_NCHW: Tensor) -> Tensor:
            y_NCHW: Tensor = self.block(self.block(self.stem(x_NCHW)))
            return y_NCHW

    _, first, second = graph_of(Twice()).nodes
    assert isinstance(first, Group)
    assert isinstance(second, Group)
    assert (first.name, second.name) == ("block", "block@2")
    assert first.module == second.module == "block"
    assert second.inputs == first.outputs


def test_a_shared_parameter_feeds_both_who_read_it() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(3, 3, 1, bias=False)
            self.b = nn.Conv2d(3, 3, 1, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x_NCHW: Tensor) -> Tensor:
            y_NCHW: Tensor = self.b(self.a(x_NCHW))
            return y_NCHW

    with torch.device("meta"):  # .to("meta") would untie them
        graph = graph_of(Tied())
    assert named(graph, "a").operator.inputs[1] == named(graph, "b").operator.inputs[1]
    assert graph.size().parameters == 9


def test_a_chain_of_containers_is_drawn_as_what_it_holds() -> None:
    class Wraps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.outer = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1), Block()))
            self.named = Holder()

        def forward(self, x_NCHW: Tensor) -> Tensor:
            y_NCHW: Tensor = self.named(self.outer(x_NCHW))
            return y_NCHW

    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.ReLU(), nn.Sigmoid())

        def forward(self, x_NCHW: Tensor) -> Tensor:
            y_NCHW: Tensor = self.inner(x_NCHW)
            return y_NCHW

    containers, holder = graph_of(Wraps()).nodes
    assert isinstance(containers, Group)
    assert isinstance(holder, Group)
    # A class with a name of its own says more than the container in it.
    assert (containers.module, holder.module) == ("outer.0", "named")
    assert holder.type == "Holder"


def test_operators_that_change_nothing_have_no_box() -> None:
    class Idle(nn.Module):
        def forward(self, x_NCHW: Tensor) -> Tensor:
            return torch.relu(x_NCHW.contiguous().detach()[:].reshape(x_NCHW.shape)).clone()

    assert outline(graph_of(Idle())) == ["relu"]


def test_outputs_that_nothing_reads_are_left_out() -> None:
    class Largest(nn.Module):
        def forward(self, x_NCHW: Tensor) -> Tensor:
            return x_NCHW.flatten(1).topk(3)[0]

    *_, topk = graph_of(Largest()).nodes
    assert len(topk.outputs) == 1
