"""The netgraft that runs on this machine: `up` writes where it answers, commands read it.

`server.json` in the state folder counts only as long as the process that wrote it is alive and
belongs to the user who reads it. Knows nothing of gRPC: only a call shows whether it answers.
"""

import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from netgraft.errors import AlreadyUp
from netgraft.loopback import is_loopback
from netgraft.private import make_file, make_folder
from netgraft.settings import settings

FILE = "server.json"
LOCK = "up.lock"
LARGEST = 64 * 2**10
"""Most bytes of the file that are read."""
OTHERS_WRITE = 0o022
START_TIME = 19
"""Index of the start time among the fields of /proc/PID/stat after the name (proc(5): field 22)."""
ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104  # compared only
"""The address to connect to where a server binds every address."""


@dataclass(frozen=True)
class Server:
    """A running netgraft, as it describes itself."""

    address: str
    """HOST:PORT of its gRPC services."""
    web: str
    """Address of its chat page; empty when it has none."""
    pid: int
    started: str
    """When its process started: a later process with the same pid has another time."""
    version: str
    roots: tuple[str, ...]
    """The folders below which it reads data and files, links resolved."""
    engine: str
    """The engine that runs its services: "ray" or "local"."""

    def reads(self, path: Path) -> bool:
        """Return whether a file or folder lies below its data roots."""
        resolved = path.resolve()
        return any(resolved.is_relative_to(root) for root in self.roots)


@contextmanager
def claimed(address: str, web: str) -> Iterator[bool]:
    """Let this process be the one that serves the state folder, while the block runs.

    Yields whether the one before it died, so that processes of it may live for a moment longer.
    Raises AlreadyUp.
    """
    path = make_file(make_folder(settings().folder) / LOCK)
    with path.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel undoes it at our end
        except BlockingIOError:
            raise _already_up(file.read(LARGEST), address) from None
        died = bool(file.read(LARGEST))
        file.seek(0)
        file.truncate()
        json.dump({"address": web or address, "pid": os.getpid()}, file)
        file.flush()
        try:
            yield died
        finally:
            file.seek(0)
            file.truncate()


def _already_up(written: str, address: str) -> AlreadyUp:
    """`written`: by the other one. If that is not done yet, our own address is the best guess."""
    try:
        found = json.loads(written)
    except ValueError:
        found = {}
    folder, pid = settings().folder, found.get("pid", "?")
    return AlreadyUp(folder=folder, address=found.get("address", address), pid=pid)


@contextmanager
def announced(address: str, web: str, engine: str) -> Iterator[Server]:
    """Write to the state folder where this process's services answer, while the block runs."""
    host, _, port = address.rpartition(":")
    server = Server(
        address=f"{reachable(host)}:{port}",
        web=web,
        pid=os.getpid(),
        started=_started(os.getpid()),
        version=own_version(),
        roots=tuple(str(root) for root in settings().roots),
        engine=engine,
    )
    file = settings().folder / FILE
    _write(file, server)
    try:
        yield server
    finally:
        if (last := _read(file)) and (last.pid, last.started) == (server.pid, server.started):
            file.unlink(missing_ok=True)


def find() -> Server | None:
    """Return the netgraft that runs with the state of these settings, of any version."""
    server = _read(settings().folder / FILE)
    if server is None or not server.started or _started(server.pid) != server.started:
        return None
    return server if _is_near(server.address) else None


def reachable(host: str) -> str:
    """Return the address to connect to where a server binds `host`."""
    return ANY.get(host.strip("[]"), host)


def own_version() -> str:
    """Return the version of this netgraft."""
    from importlib.metadata import version

    return version("netgraft")


def _is_near(address: str) -> bool:
    """Return whether an address is this machine's, or the one that the settings bind."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return False
    return host.strip("[]") == settings().host or is_loopback(host)


def _write(file: Path, server: Server) -> None:
    """Write the whole file or nothing, readable by its owner only."""
    make_folder(file.parent)
    part = file.with_name(f".{FILE}.{secrets.token_hex(4)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as out:
            json.dump(asdict(server), out)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _read(file: Path) -> Server | None:
    """Return the server in our own file; None for a link, another user's file or a damaged one."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as data:
            about = os.fstat(data.fileno())
            ours = stat.S_ISREG(about.st_mode) and about.st_uid == os.getuid()
            if not ours or about.st_mode & OTHERS_WRITE:
                return None
            return _parse(json.loads(data.read(LARGEST)))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _parse(document: dict[str, Any]) -> Server:
    """Return the server that a file describes. Raises KeyError, TypeError and ValueError."""
    texts = {name: document[name] for name in ("address", "web", "started", "version", "engine")}
    roots, pid = document["roots"], document["pid"]
    if not all(isinstance(text, str) for text in (*texts.values(), *roots)) or pid < 1:
        raise ValueError(document)
    return Server(pid=int(pid), roots=tuple(roots), **texts)


def _started(pid: int) -> str:
    """Return when a process of ours started; "" if there is none, or it is another user's."""
    if not Path("/proc/self/stat").exists():
        return _started_elsewhere(pid)
    try:
        owner = os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116  # not a path that a user gave
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    alive = fields[0] not in ("Z", "X") and owner == os.geteuid()
    return f"{boot}/{fields[START_TIME]}" if alive else ""


def _started_elsewhere(pid: int) -> str:
    """Return the same without Linux's /proc."""
    try:
        import psutil
    except ModuleNotFoundError:  # a base install
        return ""
    try:
        process = psutil.Process(pid)
        ours = process.uids().effective == os.geteuid()
        alive = process.status() != psutil.STATUS_ZOMBIE
        return f"{process.create_time():.3f}" if ours and alive else ""
    except psutil.Error:
        return ""
