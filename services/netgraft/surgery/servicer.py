"""The Surgery service: convert between protobuf and the surgery package."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.struct_pb2 import Value

from netgraft.errors import InvalidValue
from netgraft.language import Message
from netgraft.models import resolve
from netgraft.models.recipe import HeadEdit, Recipe
from netgraft.models.stored import Scalar
from netgraft.serving.messages import model_message
from netgraft.serving.servicers import caller
from netgraft.store.store import Store, default_store
from netgraft.surgery import operations
from netgraft.surgery.messages import Messages
from netgraft.v1 import surgery_pb2


class SurgeryServicer:
    """See `surgery.proto`."""

    def __init__(self, store: Store | None = None) -> None:
        from netgraft.surgery.symbolic import Foresight

        self.store = store or default_store()
        self.anatomies = Foresight(self.store)

    def InspectModel(self, request: surgery_pb2.InspectModelRequest) -> surgery_pb2.Inspection:
        from netgraft.anatomy.inspection import flops, input_shape

        recipe = self._recipe(request.model)
        anatomy = self.anatomies.of(recipe)
        return surgery_pb2.Inspection(
            model=model_message(recipe, self.store),
            heads=[
                surgery_pb2.Head(
                    path=head.path,
                    type=head.type,
                    in_features=head.in_features,
                    out_features=head.out_features,
                    classes=head.classes,
                    role=head.role,
                )
                for head in anatomy.trace.heads
            ],
            parameters=anatomy.parameters,
            trainable_parameters=anatomy.trainable,
            flops=flops(recipe, self.store),
            input_shape=input_shape(recipe, self.anatomies),
            weight_bytes=anatomy.weight_bytes,
        )

    def RetargetModel(self, request: surgery_pb2.RetargetModelRequest) -> surgery_pb2.EditReply:
        from netgraft.surgery.warm import Start

        return self._edited(
            "retarget",
            request.model,
            classes=request.classes,
            class_names=tuple(request.class_names),
            start=Start(request.init or "library", dict(request.class_map), request.means),
        )

    def FreezeLayers(self, request: surgery_pb2.FreezeLayersRequest) -> surgery_pb2.EditReply:
        _need_torch()
        layers = tuple(request.layers)
        return self._edited("freeze", request.model, layers=layers, trainable=False)

    def UnfreezeLayers(self, request: surgery_pb2.UnfreezeLayersRequest) -> surgery_pb2.EditReply:
        _need_torch()
        layers = tuple(request.layers)
        return self._edited("freeze", request.model, layers=layers, trainable=True)

    def SetLoss(self, request: surgery_pb2.SetLossRequest) -> surgery_pb2.EditReply:
        _need_torch()
        return self._edited("set_loss", request.model, loss=request.loss)

    def ReplaceModule(self, request: surgery_pb2.ReplaceModuleRequest) -> surgery_pb2.EditReply:
        _need_torch()
        return self._edited(
            "replace",
            request.model,
            path=request.path,
            layer=request.type,
            arguments={name: _scalar(name, value) for name, value in request.arguments.items()},
        )

    def SetDropout(self, request: surgery_pb2.SetDropoutRequest) -> surgery_pb2.EditReply:
        _need_torch()
        return self._edited("dropout", request.model, p=request.p)

    def AddLora(self, request: surgery_pb2.AddLoraRequest) -> surgery_pb2.EditReply:
        _need_torch()
        return self._edited(
            "lora",
            request.model,
            rank=request.rank,
            alpha=request.alpha,
            dropout=request.dropout,
            targets=tuple(request.targets),
        )

    def UndoEdit(self, request: surgery_pb2.UndoEditRequest) -> surgery_pb2.EditReply:
        recipe = self._recipe(request.model)
        return self._reply(recipe, recipe.parent, [_messages().undone(recipe.parent.title)])

    def _edited(self, op: str, model: str, **arguments: Any) -> surgery_pb2.EditReply:
        """Carry out the operation `op`. `arguments` are those besides the recipe and anatomies."""
        recipe = self._recipe(model)
        edited = operations.find(op)(recipe, anatomies=self.anatomies, **arguments)
        facts, delta = edited.facts, edited.edit.changes.delta
        reply = self._reply(recipe, edited.recipe, facts.sentences(_messages()))
        reply.heads.extend(_head_change(head) for head in facts.heads)
        reply.kept_classes.extend(
            surgery_pb2.KeptClass(name=new, old_name=old) for new, old in facts.kept
        )
        reply.stored_bytes = self.store.tensors_size(delta) if delta else 0
        return reply

    def _recipe(self, model: str) -> Recipe:
        return resolve.resolve(model, "pretrained", self.store).recipe

    def _reply(self, before: Recipe, after: Recipe, said: Sequence[str]) -> surgery_pb2.EditReply:
        old, new = self.anatomies.of(before), self.anatomies.of(after)
        return surgery_pb2.EditReply(
            model=model_message(after, self.store),
            parameters_before=old.parameters,
            parameters_after=new.parameters,
            trainable_before=old.trainable,
            trainable_after=new.trainable,
            summary=_messages().summary(said),
        )


def _head_change(head: HeadEdit) -> surgery_pb2.HeadChange:
    return surgery_pb2.HeadChange(
        path=head.path,
        type=head.type,
        in_features=head.in_features,
        before=head.before,
        after=head.after,
    )


def _need_torch() -> None:
    """Wait until torch is imported, for operations that no stored result can answer."""
    from netgraft.models.torch_ready import wait_for_torch

    wait_for_torch()


def _scalar(name: str, value: Value) -> Scalar:
    """Return a JSON scalar; whole numbers become integers. Raises InvalidValue."""
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "null_value":
            return None
    found, expected = Message("a list or an object"), Message("a number or a string")
    raise InvalidValue(name=name, value=found, expected=expected)


def _messages() -> Messages:
    return Messages(caller().language)
