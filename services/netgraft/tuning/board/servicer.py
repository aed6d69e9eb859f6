"""The part of the Tuning service that answers browsers which look at TensorBoard."""

from functools import cached_property

from netgraft.tuning.board.asking import TensorBoard
from netgraft.tuning.results import tensorboard
from netgraft.v1 import tuning_pb2


class Board:
    """The rpc AskTensorBoard; see `tuning.proto`."""

    def AskTensorBoard(
        self, request: tuning_pb2.AskTensorBoardRequest
    ) -> tuning_pb2.AskTensorBoardReply:
        reply = self._tensorboard.ask(
            request.method, request.path, request.query, request.body, request.content_type
        )
        return tuning_pb2.AskTensorBoardReply(
            status=reply.status,
            content_type=reply.content_type,
            content_encoding=reply.content_encoding,
            cache_control=reply.cache_control,
            body=reply.body,
        )

    @cached_property
    def _tensorboard(self) -> TensorBoard:
        return TensorBoard(tensorboard.runs())
