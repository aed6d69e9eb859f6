"""The options of one call of `netgraft`: which server to use, how to print.

A server is named by --server or NETGRAFT_ADDRESS; else it is the netgraft that runs on this
machine with the same state; with --local, or when none runs, this process does the work.
Knows nothing of any single command.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import click

from netgraft.cli.terminal.language import chosen_language, tr
from netgraft.loopback import is_loopback

if TYPE_CHECKING:
    from pathlib import Path

    from netgraft.cli.services import Services
    from netgraft.client import Client
    from netgraft.errors import OtherVersion
    from netgraft.running import Server


@dataclass
class Session:
    """Options that every command has, before its name or after it."""

    server: str = ""
    """HOST:PORT of --server; empty when it was not given."""
    local: bool = False
    """Whether --local was given."""
    json: bool = False

    @property
    def named(self) -> str:
        """The server named by --server or NETGRAFT_ADDRESS; empty: none was."""
        from netgraft.settings import settings

        return "" if self.local else self.server or settings().address

    @property
    def address(self) -> str:
        """HOST:PORT of the server that does the work; empty: this process does."""
        return self.named or (self.running.address if self.running else "")

    @cached_property
    def running(self) -> "Server | None":
        """The netgraft of this machine and state, if it does the work.

        One of another version is not used.
        """
        found = self._found
        return None if found is None or self._version_error else found

    @cached_property
    def _found(self) -> "Server | None":
        """The netgraft of this machine and state, of any version, unless options exclude it."""
        if self.local:
            return None
        from netgraft import running

        found = running.find()
        return found if found is not None and self.named in ("", found.address) else None

    @cached_property
    def _version_error(self) -> "OtherVersion | None":
        """The error for a running netgraft of another version, or None."""
        if self.named or self._found is None:
            return None
        from netgraft import running

        found, own = self._found, running.own_version()
        if found.version == own:
            return None
        from netgraft.errors import OtherVersion

        return OtherVersion(address=found.address, version=found.version, own=own)

    def services(self) -> "Services":
        """Return the services, at the server if there is one, else in this process."""
        if self.address:
            return self.client()
        from netgraft.cli.services import InProcessServices

        if self._version_error:
            here = tr("Working in this process.")
            click.echo(f"{self._version_error.sentence(chosen_language())} {here}", err=True)
        return InProcessServices()

    def services_for(self, path: "Path", services: "Services") -> "Services":
        """Return `services`, or those of this process if the server may not read a file or folder.

        The netgraft that runs on this machine has the same state as this process: each knows the
        models that the other makes.
        """
        if self.running is None or self.running.reads(path):
            return services
        from netgraft.cli.services import InProcessServices

        return InProcessServices()

    def client(self) -> "Client":
        """Return the services at the server. The connection is closed when the command ends.

        Raises what `need_server` raises.
        """
        self.need_server()
        # gRPC's own log would appear between our lines; we report a lost server ourselves.
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
        from netgraft.client import Client

        client = Client(self.address, language=chosen_language())
        click.get_current_context().call_on_close(client.close)
        return client

    def need_server(self) -> None:
        """Raise NotRunning when there is no server, OtherVersion, and UsageError with --local."""
        if self.local:
            problem = tr("This needs a running netgraft: leave --local out.")
            raise click.UsageError(problem)
        if self._version_error:
            raise self._version_error
        if not self.address:
            from netgraft.errors import NotRunning
            from netgraft.settings import settings

            raise NotRunning(folder=settings().folder)

    @property
    def reads_local_files(self) -> bool:
        """Return whether the services read this machine's files."""
        host = self.address.rpartition(":")[0]
        return self.running is not None or not host or is_loopback(host)

    def page_address(self, page: str) -> str:
        """Return the address of a page of the server's web gateway; "" if it has none."""
        from netgraft.settings import settings

        if self.running is not None:
            return f"{self.running.web}{page}" if self.running.web else ""
        if not self.address:
            return ""
        host = self.address.rpartition(":")[0] or settings().host
        return f"http://{host}:{settings().web_port}{page}"


pass_session = click.make_pass_decorator(Session, ensure=True)
