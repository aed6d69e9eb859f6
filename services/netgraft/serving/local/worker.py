"""A tensor worker: a fork with torch in it that answers, one by one, the calls that need it."""

import inspect
import logging
import signal
from collections.abc import Iterator, Mapping
from functools import cached_property
from multiprocessing.connection import Connection
from typing import Any

from netgraft.errors import NetgraftError
from netgraft.serving.forks.forks import end_with
from netgraft.serving.guard import Failure
from netgraft.serving.local.links import END, TAKEN, Call, failed, item
from netgraft.serving.local.memory import limit_memory, memory_error
from netgraft.serving.servicers import acting_for
from netgraft.serving.services import SERVICES
from netgraft.settings import settings

logger = logging.getLogger(__name__)


class Worker:
    """Answers the calls that come over a link, with servicers made as `arguments` say."""

    def __init__(self, link: Connection, arguments: Mapping[str, Mapping[str, Any]]) -> None:
        self.link = link
        self.arguments = arguments

    def serve(self) -> None:
        """Answer until the link closes."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        logging.basicConfig(level=settings().log_level)
        limit_memory()
        end_with(self.link)  # in the middle of what nobody waits for any more, too
        try:
            while True:
                call = Call.from_bytes(self.link.recv_bytes())
                self.link.send_bytes(TAKEN)
                for answer in self._answers(call):
                    self.link.send_bytes(answer)
        except (EOFError, OSError):  # the front has gone
            return

    def _answers(self, call: Call) -> Iterator[bytes]:
        language = call.caller.language
        try:
            with acting_for(call.caller):
                for reply in self._replies(call):
                    yield item(reply)
        except NetgraftError as error:
            yield failed(Failure.of(error, language))
        except Exception as error:  # the boundary: logged here, never sent outside
            logger.exception("%s failed", call.rpc)
            yield failed(Failure.of(memory_error(error) or NetgraftError(), language))
        else:
            yield END

    def _replies(self, call: Call) -> Any:
        rpc = getattr(self._servicers[call.application], call.rpc)
        message = call.message()
        found = rpc(iter([message]) if call.method.client_streaming else message)
        return found if inspect.isgenerator(found) else [found]

    @cached_property
    def _servicers(self) -> dict[str, Any]:
        return {
            name: service.servicer(**self.arguments.get(name, {}))
            for name, service in SERVICES.items()
        }
