"""The checks of `netgraft doctor`: functions that return what they found.

They change nothing; what cannot be known without the services is reported as a warning.
"""

import asyncio
import importlib.metadata
import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from netgraft.cli.failure import is_unreachable
from netgraft.cli.probe import RAY, TORCH, Probe
from netgraft.cli.terminal.language import chosen_language, tr
from netgraft.cli.terminal.output import size
from netgraft.errors import NetgraftError
from netgraft.language import plural
from netgraft.private import OTHERS
from netgraft.readiness import is_warming
from netgraft.running import Server
from netgraft.settings import Settings, settings

LOW_DISK = 5 * 10**9
NO_DISK = 5 * 10**8
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OLDEST_PYTHON = (3, 11)
INSTALL_SERVICES = "pip install 'netgraft[services]'"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    name: str
    level: Literal["ok", "warn", "fail"]
    message: str
    advice: str = ""
    """What to do about it; empty when there is nothing to do."""


def examine(named: str, running: Server | None) -> Iterator[Finding]:
    """Yield all findings. `named`: HOST:PORT of a server, or ""."""
    name = running.engine if running else settings().engine
    libraries = {"torch": _probe(TORCH, "torch", "torchvision")}
    libraries["ray"] = _probe(RAY, "ray") if name == "ray" else None
    yield python()
    yield netron()
    yield state()
    yield disk()
    yield token()
    yield from variables()
    address = named or (running.address if running else "")
    answer = server(address, running.pid if running else 0) if address else _no_server()
    if not named:
        serves = answer.level == "ok"
        yield port("NETGRAFT_GRPC_PORT", settings().grpc_port, serves=serves)
        yield port("NETGRAFT_WEB_PORT", settings().web_port, serves=serves)
    yield answer
    yield browser()
    probed = libraries["torch"].result() if libraries["torch"] else {}
    yield torch(probed)
    yield gpu(probed)
    yield weights(probed)
    yield engine(name)
    if name == "ray":
        yield ray(libraries["ray"].result() if libraries["ray"] else {})


def _probe(code: str, *modules: str) -> Probe | None:
    """Start the probe of some libraries; None if one is not installed."""
    installed = all(importlib.util.find_spec(module) for module in modules)
    return Probe(code) if installed else None


def python() -> Finding:
    """Check the version of Python."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return Finding("python", "ok", version)
    advice = tr("Install Python 3.11 or newer.")
    return Finding("python", "fail", version, advice)


def torch(probed: dict[str, Any]) -> Finding:
    """Check that torch and torchvision work together. `probed`: empty if one is not installed."""
    if not probed:
        return _not_installed("torch")
    if "error" in probed or not probed["works"]:
        advice = tr(
            "torch and torchvision must come from the same build: reinstall both from one package "
            "index."
        )
        return Finding("torch", "fail", str(probed.get("error", probed.get("versions"))), advice)
    return Finding("torch", "ok", probed["versions"])


def gpu(probed: dict[str, Any]) -> Finding:
    """Report the GPUs that training can use."""
    found = ", ".join(probed.get("gpus", ()))
    return Finding("gpu", "ok", found or tr("none; training uses the CPU"))


def engine(name: str) -> Finding:
    """Report what runs the services here, or would."""
    if name == "ray":
        return Finding("engine", "ok", tr("ray: for clusters, and the containers"))
    return Finding("engine", "ok", tr("local: plain processes on this machine"))


def ray(probed: dict[str, Any]) -> Finding:
    """Check that Ray imports with Serve and Train. `probed`: empty if it is not installed."""
    if not probed:
        return _not_installed("ray")
    if "error" in probed:
        return Finding("ray", "fail", probed["error"], INSTALL_SERVICES)
    return Finding("ray", "ok", f"ray {probed['version']}")


def netron() -> Finding:
    """Check for exactly the pinned Netron: its pages are driven through an unofficial interface."""
    if importlib.util.find_spec("netron") is None:
        return _not_installed("netron")
    required = next(
        line.partition(";")[0].strip()
        for line in importlib.metadata.requires("netgraft") or ()
        if line.startswith("netron")
    )
    found = importlib.metadata.version("netron")
    if required == f"netron=={found}":
        return Finding("netron", "ok", f"netron {found}")
    return Finding("netron", "fail", f"netron {found}", f"pip install '{required}'")


def state() -> Finding:
    """Check that the state folder can be written or made, and that others cannot enter it."""
    folder = settings().folder
    nearest = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        advice = tr(
            "Make {nearest} writable, or choose another folder with NETGRAFT_STATE=FOLDER.",
            nearest=nearest,
        )
        return Finding("state", "fail", f"{folder}: {error.strerror}", advice)
    if folder.is_dir() and (mode := folder.stat().st_mode & 0o777) & OTHERS:
        others = tr("other users can open it")
        return Finding("state", "warn", f"{folder}: {others} ({mode:o})", f"chmod 700 {folder}")
    if folder.is_dir():
        return Finding("state", "ok", str(folder))
    return Finding("state", "ok", tr("{folder} (made at first start)", folder=folder))


def disk() -> Finding:
    """Check the free space for the state folder."""
    free = shutil.disk_usage(_nearest(settings().folder)).free
    message = tr("{size} free", size=size(free))
    if free >= LOW_DISK:
        return Finding("disk", "ok", message)
    advice = tr(
        "Free some disk space for models, checkpoints and weights, or set NETGRAFT_STATE to a "
        "folder on another disk."
    )
    return Finding("disk", "fail" if free < NO_DISK else "warn", message, advice)


def token() -> Finding:
    """Check that a token file can be read, and by its owner only."""
    if settings().token:
        return Finding("token", "ok", tr("from NETGRAFT_TOKEN"))
    file = settings().folder / "token"
    if settings().token_file:
        file = Path(settings().token_file).expanduser()
        try:
            settings().read_token()
        except NetgraftError as error:
            return Finding("token", "fail", error.sentence(chosen_language()))
    elif not file.is_file():
        return Finding("token", "ok", tr("made at first start"))
    mode = file.stat().st_mode & 0o777
    if mode & OTHERS:
        others = tr("{file} can be read by others", file=file)
        return Finding("token", "fail", f"{others} ({mode:o})", f"chmod 600 {file}")
    return Finding("token", "ok", f"{file} ({mode:o})")


def variables() -> Iterator[Finding]:
    """Report environment variables that look like settings and are not."""
    known = [f"NETGRAFT_{name}".upper() for name in (*Settings.model_fields, "language")]
    for name in sorted(os.environ):
        if name.startswith("NETGRAFT_") and name.upper() not in known:
            nearest = get_close_matches(name, known, 1)
            message = tr("netgraft has no setting {name}", name=name)
            advice = tr("Did you mean {name}?", name=nearest[0]) if nearest else ""
            yield Finding("variables", "warn", message, advice)


def _no_server() -> Finding:
    folder = settings().folder
    message = tr("no netgraft runs with the state in {folder}", folder=folder)
    return Finding("server", "warn", message, "netgraft up")


def server(address: str, pid: int = 0) -> Finding:
    """Check that a server answers and accepts our token. `pid`: its process if on this machine."""
    from netgraft.client import Client
    from netgraft.v1 import models_pb2

    try:
        with Client(address) as client:
            client.models.ListModels(models_pb2.ListModelsRequest(limit=1), timeout=5)
    except NetgraftError as error:
        if is_unreachable(error):
            message = tr("no server answers at {address}", address=address)
            again = tr("It hangs: end process {pid} and run `netgraft up` again.", pid=pid)
            return Finding("server", "fail", message, again if pid else "netgraft up")
        return Finding(
            "server", "fail", f"{address}: {error.sentence(chosen_language())}", _token_advice()
        )
    if asyncio.run(is_warming(address)):
        message = tr(
            "answers at {address}; warming: what needs PyTorch waits for a moment", address=address
        )
        return Finding("server", "ok", message)
    return Finding("server", "ok", tr("answers at {address}", address=address))


def _token_advice() -> str:
    return tr("Set NETGRAFT_TOKEN to what `netgraft token` prints on the server's machine.")


def port(variable: str, number: int, *, serves: bool) -> Finding:
    """Check that a port is free, or used by netgraft itself."""
    name = f"port {number}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings().host, number))
        except OSError as error:
            if serves:
                return Finding(name, "ok", tr("used by netgraft"))
            advice = tr(
                "Stop the program that uses it, or choose another port with {variable}=PORT.",
                variable=variable,
            )
            return Finding(name, "fail", str(error.strerror), advice)
    return Finding(name, "ok", tr("free"))


def weights(probed: dict[str, Any]) -> Finding:
    """Report the folder where torch.hub keeps pretrained weights, and how many it holds."""
    if "hub" not in probed:
        return Finding("weights", "warn", tr("torch is not installed"))
    folder = Path(probed["hub"]) / "checkpoints"
    files = [file for file in folder.glob("*") if file.is_file()]
    held = size(sum(file.stat().st_size for file in files))
    message = tr(
        plural("{folder}: {count} file, {size}", "{folder}: {count} files, {size}"),
        folder=folder,
        count=len(files),
        size=held,
    )
    advice = tr(
        "Pretrained weights are downloaded there when first needed; without a network, put them "
        "there, or use --weights none."
    )
    return Finding("weights", "ok", message, "" if files else advice)


def browser() -> Finding:
    """Look for a browser: it makes pictures (SVG, PNG); nothing else needs one."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found:
        return Finding("browser", "ok", found)
    message = tr("not found, so there are no pictures as SVG or PNG")
    advice = tr("Install chromium if you want them.")
    return Finding("browser", "warn", message, advice)


def _not_installed(name: str) -> Finding:
    message = tr("not installed; this machine is a client only")
    return Finding(name, "warn", message, INSTALL_SERVICES)


def _nearest(folder: Path) -> Path:
    """Return the folder, or its nearest ancestor that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())
