"""The graph as a display-only ONNX document: the form that Netron draws best.

A module is a node with a GRAPH attribute, which Netron expands in place. Weights
are names, types and shapes without data. Nothing in the document names a file, a
folder or a line of code.
"""

from collections.abc import Iterable, Mapping

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from netgraft.graph.capture.recording import Dim, Value, Weight
from netgraft.graph.nesting import Graph, Group, Node, Operation, operations
from netgraft.graph.operators import TORCH, Constant, Slot
from netgraft.graph.operators.dtypes import DTYPES, UNDEFINED

MODULES = "module"
"""Domain of modules."""
IR_VERSION = 10
OPSET = 24


def write(graph: Graph, title: str, properties: Mapping[str, str] | None = None) -> bytes:
    """The ONNX document of a graph; `properties` are shown as the model's metadata."""
    model = ModelProto(ir_version=IR_VERSION, producer_name="netgraft")
    model.doc_string = title
    domains = {"": OPSET} | dict.fromkeys(sorted(_domains(graph)), 1)
    for domain, version in domains.items():
        model.opset_import.add(domain=domain, version=version)
    for key, value in (properties or {}).items():
        model.metadata_props.add(key=key, value=value)
    _write_root(model.graph, graph, title)
    return model.SerializeToString(deterministic=True)


def _domains(graph: Graph) -> set[str]:
    return {MODULES, TORCH} | {op.operator.domain for op in graph.operations()} - {""}


def _write_root(proto: GraphProto, graph: Graph, title: str) -> None:
    proto.name = title
    scope = _Scope(proto, graph)
    for value in graph.inputs:
        scope.declare(proto.input, value, value.name)
    for name, output in graph.outputs:
        if isinstance(output, Weight):
            proto.output.append(_typed(scope.weight(output), output))
        elif output not in scope.names:
            scope.declare(proto.output, output, name)
    scope.write(graph.nodes)


class _Scope:
    """One graph of the document. Names are local to it, as in ONNX."""

    def __init__(self, proto: GraphProto, graph: Graph) -> None:
        self.proto = proto
        self.graph = graph
        self.names: dict[Value, str] = {}
        self.taken: set[str] = set()
        self.weights: set[str] = set()

    def declare(self, where: Iterable[ValueInfoProto], value: Value, name: str) -> None:
        """Enter an input or output of this graph under a name of its own."""
        where.append(_typed(self._name(value, name), value))  # type: ignore[attr-defined]

    def write(self, nodes: Iterable[Node]) -> None:
        declared = set(self.names)
        for node in nodes:
            proto = self.proto.node.add(name=node.name)
            if isinstance(node, Group):
                self._group(proto, node)
            else:
                self._operation(proto, node)
            for value in node.outputs:
                proto.output.append(self._name(value, value.name))
                if value not in declared:
                    self.proto.value_info.append(_typed(self.names[value], value))

    def _group(self, proto: NodeProto, group: Group) -> None:
        proto.op_type, proto.domain = group.type, MODULES
        proto.input.extend(self._name(value, value.name) for value in group.inputs)
        self._describe(proto, group)
        attribute = proto.attribute.add(name=self._label(group), type=AttributeProto.GRAPH)
        attribute.g.name = _short(group.module)
        inner = _Scope(attribute.g, self.graph)
        for direction, values in (("input", group.inputs), ("output", group.outputs)):
            where = attribute.g.input if direction == "input" else attribute.g.output
            for index, value in enumerate(values, start=1):
                name = direction if len(values) == 1 else f"{direction}{index}"
                if value not in inner.names:
                    inner.declare(where, value, name)
        inner.write(group.nodes)

    def _operation(self, proto: NodeProto, operation: Operation) -> None:
        operator = operation.operator
        proto.op_type, proto.domain = operator.type, operator.domain
        proto.input.extend(
            self._slot(slot, f"{operation.name}/{index}")
            for index, slot in enumerate(operator.inputs)
        )
        self._describe(proto, operation)
        _note(proto, "torch", operation.target)
        if operator.input_names:  # Netron reads them from just this form
            _note(proto, "input_names", f"[{', '.join(map(repr, operator.input_names))}]")
        for name, value in operator.attributes.items():
            _set(proto.attribute.add(name=name), value)

    def _describe(self, proto: NodeProto, node: Node) -> None:
        _note(proto, "module", node.module)
        _note(proto, "class", node.type)
        size = self.graph.size(node.module)
        if node.type and size.parameters:
            _note(proto, "parameters", f"{size.parameters:,}")
            if size.trainable < size.parameters:
                _note(proto, "trainable", f"{size.trainable:,}")

    def _label(self, group: Group) -> str:
        """A line on what the module holds, such as "3 × Bottleneck · 215,808 parameters"."""
        types = {node.type for node in group.nodes}
        parts = (
            [f"{len(group.nodes)} × {types.pop()}"] if len(types) == 1 and "" not in types else []
        )
        size = self.graph.size(group.module).parameters
        count = sum(1 for _ in operations(group.nodes))
        parts.append(f"{size:,} parameters" if size else f"{count:,} operators")
        return " · ".join(parts)

    def _slot(self, slot: Slot, name: str) -> str:
        if isinstance(slot, Value):
            return self._name(slot, slot.name)
        if isinstance(slot, Weight):
            return self.weight(slot)
        return self._constant(slot, name) if slot else ""

    def weight(self, weight: Weight) -> str:
        """The local name of a weight; declares it in this graph if needed."""
        if weight.name not in self.weights:
            self.weights.add(weight.name)
            self.taken.add(weight.name)
            self.proto.initializer.add(
                name=weight.name,
                data_type=DTYPES.get(weight.dtype, UNDEFINED),
                dims=[size for size in weight.shape if isinstance(size, int)],
                data_location=TensorProto.EXTERNAL,
            )
        return weight.name

    def _constant(self, constant: Constant, name: str) -> str:
        tensor = self.proto.initializer.add(name=name, data_type=DTYPES[constant.dtype])
        if not constant.scalar:
            tensor.dims.append(len(constant.values))
        if constant.dtype == "int64":
            tensor.int64_data.extend(int(value) for value in constant.values)
        else:
            tensor.float_data.extend(constant.values)
        return name

    def _name(self, value: Value, wanted: str) -> str:
        if value not in self.names:
            name, count = wanted, 1
            while name in self.taken:
                count += 1
                name = f"{wanted}_{count}"
            self.names[value] = name
            self.taken.add(name)
        return self.names[value]


def _typed(name: str, tensor: Value | Weight) -> ValueInfoProto:
    proto = ValueInfoProto(name=name)
    kind = proto.type.tensor_type
    kind.elem_type = DTYPES.get(tensor.dtype, UNDEFINED)
    kind.shape.SetInParent()
    for size in tensor.shape:
        _dim(kind.shape.dim.add(), size)
    return proto


def _dim(proto: object, size: Dim) -> None:
    setattr(proto, "dim_param" if isinstance(size, str) else "dim_value", size)


def _note(proto: NodeProto, key: str, value: str) -> None:
    if value:
        proto.metadata_props.add(key=key, value=value)


def _short(path: str) -> str:
    """The end of a module path, as in Python code: "layer1.0" is "layer1[0]"."""
    owner, _, name = path.rpartition(".")
    return f"{_short(owner)}[{name}]" if name.isdigit() and owner else name


def _set(proto: AttributeProto, value: object) -> None:
    kinds = AttributeProto
    if isinstance(value, tuple):
        if all(isinstance(part, int) for part in value):
            proto.type = kinds.INTS
            proto.ints.extend(value)
        else:
            proto.type = kinds.FLOATS
            proto.floats.extend(value)
    elif isinstance(value, int):
        proto.type, proto.i = kinds.INT, value
    elif isinstance(value, float):
        proto.type, proto.f = kinds.FLOAT, value
    else:
        proto.type, proto.s = kinds.STRING, str(value).encode()
