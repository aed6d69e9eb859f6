"""Asking TensorBoard's process, which is started when somebody asks and none is there."""

import atexit
import http.client
import logging
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from netgraft import private
from netgraft.errors import InvalidValue, NotPossible
from netgraft.language import Message

logger = logging.getLogger(__name__)

SERVER = "netgraft.tuning.board.server"
SOCKET = "socket"
START_SECONDS = 60.0
"""Until it answers, on a busy machine; an idle one needs two."""
TRY_SECONDS = 0.05
ANSWER_SECONDS = 30.0
METHODS = ("GET", "POST")


@dataclass(frozen=True)
class Reply:
    """An HTTP reply."""

    status: int
    content_type: str
    content_encoding: str
    cache_control: str
    body: bytes


class TensorBoard:
    """TensorBoard's process, for one process that asks it. Safe for threads."""

    def __init__(self, runs: Path) -> None:
        """`runs`: the folder that has the event files, at any depth."""
        self.runs = runs
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path()
        atexit.register(self.close)

    def ask(
        self, method: str, path: str, query: str = "", body: bytes = b"", content_type: str = ""
    ) -> Reply:
        """Pass a browser's request on. Raises InvalidValue, and NotPossible where it cannot run."""
        if method not in METHODS:
            expected = Message("one of {choices}", choices=METHODS)
            raise InvalidValue(name="method", value=repr(method), expected=expected)
        address = f"/{path}?{query}" if query else f"/{path}"
        if not address.isascii() or not address.isprintable() or " " in address:
            expected = Message("a path as in an address")
            raise InvalidValue(name="path", value=repr(path), expected=expected)
        if not content_type.isascii() or not content_type.isprintable():
            expected = Message("a kind of content as in a header")
            raise InvalidValue(name="content_type", value=repr(content_type), expected=expected)
        headers = {"content-type": content_type} if content_type else {}
        try:
            return self._asked(method, address, body, headers)
        except OSError:  # it has ended since, perhaps because nobody had asked for so long
            return self._asked(method, address, body, headers)

    def close(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            if self._process:
                self._process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(5)
                shutil.rmtree(self._folder, ignore_errors=True)
                self._process = None

    def _asked(self, method: str, address: str, body: bytes, headers: dict[str, str]) -> Reply:
        connection = _Connection(self._socket(), timeout=ANSWER_SECONDS)
        try:
            sent = {"accept-encoding": "gzip", **headers}  # its page is 6 MB of script
            connection.request(method, address, body or None, sent)
            reply = connection.getresponse()
            return Reply(
                reply.status,
                reply.getheader("content-type", ""),
                reply.getheader("content-encoding", ""),
                reply.getheader("cache-control", ""),
                reply.read(),
            )
        finally:
            connection.close()

    def _socket(self) -> str:
        """The socket of a process that listens. Raises NotPossible."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                shutil.rmtree(self._folder, ignore_errors=True) if self._process else None
                self._start()
            return str(self._folder / SOCKET)

    def _start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="netgraft-board-"))  # 0700
        private.make_folder(self.runs)
        # Its page names the folder as it was given: the rest of the path is this machine's.
        command = [sys.executable, "-P", "-m", SERVER, str(self._folder), self.runs.name]
        self._process = subprocess.Popen(  # noqa: S603  # our own module
            command, stdin=subprocess.DEVNULL, cwd=self.runs.parent
        )
        deadline = time.monotonic() + START_SECONDS
        while not _listens(self._folder / SOCKET):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                problem = Message("TensorBoard did not start; the server's log says why.")
                raise NotPossible(problem=problem)
            time.sleep(TRY_SECONDS)
        logger.info("TensorBoard has started")


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
