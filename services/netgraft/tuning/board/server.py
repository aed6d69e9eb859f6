"""TensorBoard on a Unix socket: `python -m netgraft.tuning.board.server FOLDER LOGDIR`.

FOLDER gets the socket, and is removed at the end. Imported by nobody: TensorBoard and what it
imports stay in this process.
"""

import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tensorboard import default, program
from tensorboard.plugins.core.core_plugin import CorePluginLoader
from werkzeug.serving import WSGIRequestHandler, make_server

from netgraft.parent import when_gone
from netgraft.private import OTHERS

SOCKET = "socket"
IDLE_SECONDS = 900.0
"""After the last request; then the process ends."""
RELOAD_SECONDS = 3
"""Between two looks for new figures."""
SHOWN = frozenset({"timeseries", "scalars", "images", "graphs", "text", "hparams"})
"""Of TensorBoard's own plugins; those of other packages are not loaded."""

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class _Quiet(WSGIRequestHandler):
    """Writes no line for each request."""

    def log(self, *args: object) -> None:
        return

    def address_string(self) -> str:
        return "socket"  # such a client has no address


class _OnSocket(program.TensorBoardServer):  # type: ignore[misc]  # has no types
    """Serves TensorBoard's application on the socket; its first reply means that it is ready."""

    def __init__(self, application: Application, flags: Any) -> None:
        self.application = application
        self.asked = time.monotonic()
        self.path = Path(flags.host)
        self._server = make_server(
            f"unix://{self.path}", 0, self._answer, threaded=True, request_handler=_Quiet
        )

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.asked = time.monotonic()
        return self.application(environ, start_response)

    def serve_forever(self) -> None:
        threading.Thread(target=self._end_when_idle, name="idle", daemon=True).start()
        self._server.serve_forever()

    def get_url(self) -> str:
        return f"unix://{self.path}"

    def _end_when_idle(self) -> None:
        while (left := self.asked + IDLE_SECONDS - time.monotonic()) > 0:
            time.sleep(left)
        self._server.shutdown()


def plugins() -> list[Any]:
    """TensorBoard's own plugins that show what netgraft writes."""
    known = default.get_static_plugins()
    return [CorePluginLoader(), *(p for p in known if getattr(p, "plugin_name", "") in SHOWN)]


def main(folder: str, logdir: str) -> None:
    """Serve until nobody asks any more, or the parent has ended."""
    os.umask(OTHERS)
    logging.basicConfig(level="WARNING", format="%(levelname)s %(name)s: %(message)s")
    place = Path(folder)

    def end() -> None:
        shutil.rmtree(place, ignore_errors=True)
        os._exit(0)

    when_gone(os.getppid(), end)
    board = program.TensorBoard(plugins=plugins(), server_class=_OnSocket)
    flags = {
        "logdir": logdir,
        "host": str(place / SOCKET),
        "load_fast": "false",  # which would start one more process
        "reload_interval": str(RELOAD_SECONDS),
        "window_title": "netgraft",
    }
    board.configure(("tensorboard", *(f"--{name}={value}" for name, value in flags.items())))
    server = board._make_server()  # `main` would announce a port, and `launch` would not wait
    server.serve_forever()
    end()


if __name__ == "__main__":
    main(*sys.argv[1:])
