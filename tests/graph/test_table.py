"""The modules of a model as rows."""

import pytest
from torch.utils.flop_counter import FlopCounterMode

from netgraft.errors import InvalidValue
from netgraft.graph.servicer import GraphsServicer
from netgraft.models.bases import base_module, example_inputs
from netgraft.models.resolve import resolve
from netgraft.store.store import Store
from netgraft.v1 import graph_pb2


@pytest.fixture
def graphs(store: Store) -> GraphsServicer:
    return GraphsServicer(store)


def table(graphs: GraphsServicer, model: str, **options: int) -> dict[str, graph_pb2.ModuleRow]:
    reply = graphs.ListModules(graph_pb2.ListModulesRequest(model=model, **options))
    return {row.path: row for row in reply.rows}


def test_every_module_has_a_row_with_exact_numbers(graphs: GraphsServicer, store: Store) -> None:
    found = table(graphs, "resnet18")
    base = resolve("resnet18", "none", store).recipe.base
    module = base_module(base, device="meta").eval()
    assert list(found) == [path for path, _ in module.named_modules()]
    for path, part in module.named_modules():
        assert found[path].parameters == sum(p.numel() for p in part.parameters()), path
    counter = FlopCounterMode(display=False)
    with counter:
        module(*example_inputs(base, batch=1))
    counted = counter.get_flop_counts()
    for path in ("layer1", "layer4.1", "layer4.1.conv2", "fc"):
        assert found[path].flops == sum(counted[f"ResNet.{path}"].values()), path
    assert found[""].flops == counter.get_total_flops()


def test_a_row_says_what_comes_out_for_any_batch(graphs: GraphsServicer) -> None:
    found = table(graphs, "resnet18")
    assert list(found["layer1"].output_shapes) == ["N×64×56×56"]
    assert list(found[""].output_shapes) == list(found["fc"].output_shapes) == ["N×1000"]
    many = table(graphs, "resnet18", batch=8)
    assert many["layer1"].flops == 8 * found["layer1"].flops
    assert many["layer1"].activation_bytes == 8 * found["layer1"].activation_bytes


def test_the_depth_is_as_deep_as_was_asked_for(graphs: GraphsServicer) -> None:
    assert list(table(graphs, "resnet18", depth=1)) == [
        "", "conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool",
        "fc",
    ]  # fmt: skip


def test_a_module_that_is_called_often_says_so(graphs: GraphsServicer) -> None:
    found = table(graphs, "resnet18")
    assert found["layer1.0.relu"].calls == 2
    assert found["fc"].calls == 1


def test_a_batch_of_nothing_is_refused(graphs: GraphsServicer) -> None:
    with pytest.raises(InvalidValue, match="batch"):
        table(graphs, "resnet18", batch=-1)
