"""Protobuf at the edge of the surgery slice: the Surgery service, in-process or served."""

from collections.abc import Sequence

from google.protobuf.struct_pb2 import Value

from netgraft.errors import InvalidValue
from netgraft.language import Message
from netgraft.models import resolve
from netgraft.models.recipe import Dropout, HeadEdit, Lora, Recipe, Replace, Retarget, Scalar, delta
from netgraft.serving.messages import model_message
from netgraft.serving.servicers import caller
from netgraft.store.store import Store, default_store
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
        from netgraft.surgery.retarget import retarget
        from netgraft.surgery.warm import Start, matched

        recipe = self._recipe(request.model)
        start = Start(request.init or "library", dict(request.class_map), request.means)
        names = tuple(request.class_names)
        edited = retarget(recipe, request.classes, names, self.anatomies, start)
        edit = edited.edits[-1]
        assert isinstance(edit, Retarget)
        said = [str(head) for head in edit.heads]
        if self.anatomies.of(edited).trace.detector:
            said.append(_messages().background(edit.classes))
        warm = matched(recipe, edit.class_names, start, self.anatomies.of(recipe).trace)
        said += _messages().kept(edit.kept, edit.classes, warm)
        return self._reply(recipe, edited, said, edit.heads)

    def FreezeLayers(self, request: surgery_pb2.FreezeLayersRequest) -> surgery_pb2.EditReply:
        return self._trainable(request.model, tuple(request.layers), False)

    def UnfreezeLayers(self, request: surgery_pb2.UnfreezeLayersRequest) -> surgery_pb2.EditReply:
        return self._trainable(request.model, tuple(request.layers), True)

    def SetLoss(self, request: surgery_pb2.SetLossRequest) -> surgery_pb2.EditReply:
        _need_torch()
        from netgraft.models.losses.catalogue import LOSSES
        from netgraft.surgery.loss import set_loss

        recipe = self._recipe(request.model)
        edited = set_loss(recipe, request.loss, self.anatomies)
        return self._reply(
            recipe, edited, [_messages().loss(edited.loss, LOSSES[edited.loss].says)]
        )

    def ReplaceModule(self, request: surgery_pb2.ReplaceModuleRequest) -> surgery_pb2.EditReply:
        _need_torch()
        from netgraft.models.build import build
        from netgraft.surgery.replace import replace

        recipe = self._recipe(request.model)
        arguments = {name: _scalar(name, value) for name, value in request.arguments.items()}
        edited = replace(recipe, request.path, request.type, arguments, self.anatomies)
        edit = edited.edits[-1]
        assert isinstance(edit, Replace)
        module = build(recipe, self.store, device="meta").get_submodule(edit.path)
        said = [_messages().replaced(edit, type(module).__name__)]
        return self._reply(recipe, edited, said)

    def SetDropout(self, request: surgery_pb2.SetDropoutRequest) -> surgery_pb2.EditReply:
        _need_torch()
        from netgraft.surgery.dropout import set_dropout

        recipe = self._recipe(request.model)
        edited = set_dropout(recipe, request.p, self.anatomies)
        edit = edited.edits[-1]
        assert isinstance(edit, Dropout)
        return self._reply(recipe, edited, _messages().dropped(edit))

    def AddLora(self, request: surgery_pb2.AddLoraRequest) -> surgery_pb2.EditReply:
        _need_torch()
        from netgraft.surgery.lora import add_lora

        recipe = self._recipe(request.model)
        edited = add_lora(
            recipe,
            self.anatomies,
            rank=request.rank,
            alpha=request.alpha,
            dropout=request.dropout,
            targets=tuple(request.targets),
        )
        edit = edited.edits[-1]
        assert isinstance(edit, Lora)
        now = self.anatomies.of(edited)
        said = _messages().adapted(edit, now.trainable, now.parameters, self._still(edited))
        return self._reply(recipe, edited, said)

    def UndoEdit(self, request: surgery_pb2.UndoEditRequest) -> surgery_pb2.EditReply:
        recipe = self._recipe(request.model)
        return self._reply(recipe, recipe.parent, [_messages().undone(recipe.parent.title)])

    def _trainable(
        self, model: str, layers: tuple[str, ...], trainable: bool
    ) -> surgery_pb2.EditReply:
        _need_torch()
        from netgraft.surgery.freeze import set_trainable

        recipe = self._recipe(model)
        edited = set_trainable(recipe, layers, trainable, self.anatomies)
        now = self.anatomies.of(edited)
        sizes = (now.trainable, now.parameters, self._still(edited))
        return self._reply(recipe, edited, _messages().trainable(layers, trainable, *sizes))

    def _still(self, recipe: Recipe) -> int:
        """How many batch norms keep their running statistics in training."""
        from netgraft.models.build import build
        from netgraft.models.edits.norms import frozen_norms

        return len(frozen_norms(build(recipe, self.store, device="meta")))

    def _recipe(self, model: str) -> Recipe:
        return resolve.resolve(model, "pretrained", self.store).recipe

    def _reply(
        self,
        before: Recipe,
        after: Recipe,
        said: Sequence[str],
        heads: Sequence[HeadEdit] = (),
    ) -> surgery_pb2.EditReply:
        old, new = self.anatomies.of(before), self.anatomies.of(after)
        edit = after.edits[-1] if len(after.edits) > len(before.edits) else None
        digest = delta(edit) if edit else ""
        stored = self.store.tensors_size(digest) if digest else 0
        return surgery_pb2.EditReply(
            model=model_message(after, self.store),
            heads=[
                surgery_pb2.HeadChange(
                    path=head.path,
                    type=head.type,
                    in_features=head.in_features,
                    before=head.before,
                    after=head.after,
                )
                for head in heads
            ],
            parameters_before=old.parameters,
            parameters_after=new.parameters,
            trainable_before=old.trainable,
            trainable_after=new.trainable,
            summary=_messages().summary(said),
            stored_bytes=stored,
            kept_classes=[
                surgery_pb2.KeptClass(name=new, old_name=old)
                for new, old in (edit.kept if isinstance(edit, Retarget) else ())
            ],
        )


def _need_torch() -> None:
    """Wait for torch, where nothing that was kept is enough."""
    from netgraft.models.torch_ready import wait_for_torch

    wait_for_torch()


def _scalar(name: str, value: Value) -> Scalar:
    """A JSON scalar; JSON's whole numbers are integers. Raises InvalidValue."""
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
