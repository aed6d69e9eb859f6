"""What one call of `netgraft` is about: which server, how it prints.

A server is named by --server or NETGRAFT_ADDRESS; else it is the netgraft that runs on this
machine with the same state; with --local, or when none runs, this process does the work.
Knows nothing of any single command.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import click

from netgraft.cli.language import spoken, tr

if TYPE_CHECKING:
    from pathlib import Path

    from netgraft.cli.door import Door
    from netgraft.client import Client
    from netgraft.running import Server

LOOPBACK = ("", "127.0.0.1", "localhost", "::1", "[::1]")


@dataclass
class Session:
    """Options that every command knows, wherever on the line they were written."""

    server: str = ""
    """HOST:PORT of --server; empty when it was not given."""
    local: bool = False
    """Whether --local was given."""
    json: bool = False

    @property
    def named(self) -> str:
        """The server that was named by --server or NETGRAFT_ADDRESS; empty: none was."""
        from netgraft.settings import settings

        return "" if self.local else self.server or settings().address

    @property
    def address(self) -> str:
        """HOST:PORT of the server that does the work; empty: this process does."""
        return self.named or (self.running.address if self.running else "")

    @cached_property
    def running(self) -> "Server | None":
        """The netgraft of this machine and state, where it is the one that does the work.

        One of another version is left alone, which is said on stderr.
        """
        if self.local:
            return None
        from netgraft import running

        found = running.find()
        if found is None or self.named not in ("", found.address):
            return None
        own = running.own_version()
        if found.version == own or self.named:
            return found
        told = tr(
            f"The netgraft at {found.address} is version {found.version}, this is {own}: "
            "working in this process. Restart `netgraft up` to use it.",
            f"{found.address} 上的 netgraft 版本为 {found.version}，此处为 {own}："
            "改在本进程中执行。重启 `netgraft up` 后即可使用。",
        )
        click.echo(told, err=True)
        return None

    def door(self) -> "Door":
        """The services, at the server if there is one, else in this process."""
        if self.address:
            return self.client()
        from netgraft.cli.door import InProcess

        return InProcess()

    def door_to(self, path: "Path", door: "Door") -> "Door":
        """`door`, or this process where the server behind it may not read a file or folder.

        The netgraft that runs here has the same state as this process: what one of them makes,
        the other knows.
        """
        if self.running is None or self.running.reads(path):
            return door
        from netgraft.cli.door import InProcess

        return InProcess()

    def client(self) -> "Client":
        """The services at the server. The connection is closed when the command ends.

        Raises as `need_server` does.
        """
        self.need_server()
        # gRPC's own log would stand between our lines: a server that goes away is ours to tell.
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
        from netgraft.client import Client

        client = Client(self.address, language=spoken())
        click.get_current_context().call_on_close(client.close)
        return client

    def need_server(self) -> None:
        """Raises NotRunning when there is no server, and UsageError with --local."""
        if self.local:
            told = tr(
                "This needs a running netgraft; leave --local out.",
                "此操作需要运行中的 netgraft；请去掉 --local。",
            )
            raise click.UsageError(told)
        if not self.address:
            from netgraft.errors import NotRunning
            from netgraft.settings import settings

            raise NotRunning(folder=settings().folder)

    @property
    def here(self) -> bool:
        """Whether the services read this machine's files."""
        return self.running is not None or self.address.rpartition(":")[0] in LOOPBACK

    def web(self, page: str) -> str:
        """Address of a page of the web gateway beside the server; "" where there is none."""
        from netgraft.settings import settings

        if self.running is not None:
            return f"{self.running.web}{page}" if self.running.web else ""
        if not self.address:
            return ""
        host = self.address.rpartition(":")[0] or settings().host
        return f"http://{host}:{settings().web_port}{page}"


pass_session = click.make_pass_decorator(Session, ensure=True)
