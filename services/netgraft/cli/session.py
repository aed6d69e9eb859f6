"""The options of one call of `netgraft`: which server to use, how to print.

A server is named by --server or NETGRAFT_ADDRESS; else it is the netgraft that runs on this
machine with the same state; with --local, or when none runs, this process does the work. What
trains needs a server: when none runs, such a command starts one for itself.
Knows nothing of any single command.
"""

import os
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import click

from netgraft.cli.terminal.language import chosen_language, tr
from netgraft.loopback import is_loopback

if TYPE_CHECKING:
    from pathlib import Path

    from netgraft.cli.child import Running
    from netgraft.cli.services import Services
    from netgraft.client import Client
    from netgraft.errors import OtherVersion
    from netgraft.running import Server

ANOTHER_SECONDS = 180
"""How long a netgraft that another process starts or ends may take."""
PAUSE_SECONDS = 1.0
"""Between two looks at it."""


@dataclass
class Session:
    """Options that every command has, before its name or after it."""

    server: str = ""
    """HOST:PORT of --server; empty when it was not given."""
    local: bool = False
    """Whether --local was given."""
    json: bool = False
    own: "Running | None" = None
    """The netgraft that this command has started for itself."""

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

    def trainer(self) -> "Client":
        """Return the services at the server; when none runs, start one that ends with the command.

        Raises UsageError with --local, OtherVersion, and RemoteError when it does not start.
        """
        self.must_be_able_to_train()
        if not self.address:
            self._start_own()
        return self.client()

    def must_be_able_to_train(self) -> None:
        """Raise UsageError with --local, and OtherVersion."""
        if self.local:
            problem = tr("This needs a running netgraft: leave --local out.")
            raise click.UsageError(problem)
        if self._version_error:
            raise self._version_error

    def _start_own(self) -> None:
        """Start a netgraft for this command; if another process is starting one, wait for that."""
        from netgraft.cli.child import netgraft_for_a_command
        from netgraft.client import RemoteError
        from netgraft.errors import AlreadyUp
        from netgraft.settings import settings

        click.echo(tr("Starting netgraft for this command…"), err=True)
        log = settings().folder / "logs" / "command.log"
        deadline = time.monotonic() + ANOTHER_SECONDS
        while not self._another_answers() and self.own is None:
            try:
                starting = netgraft_for_a_command(log)
                self.own = click.get_current_context().with_resource(starting)
            except RemoteError as error:
                if error.reason != AlreadyUp.reason or time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)

    def _another_answers(self) -> bool:
        """Look again for a netgraft that runs."""
        for known in ("running", "_found", "_version_error"):
            self.__dict__.pop(known, None)
        return bool(self.address)

    def client(self) -> "Client":
        """Return the services at the server. The connection is closed when the command ends.

        Raises UsageError with --local, OtherVersion, and NotRunning when there is no server.
        """
        self.must_be_able_to_train()
        if not self.address:
            from netgraft.errors import NotRunning
            from netgraft.settings import settings

            raise NotRunning(folder=settings().folder)
        # gRPC's own log would appear between our lines; we report a lost server ourselves.
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
        from netgraft.client import Client

        client = Client(self.address, language=chosen_language())
        click.get_current_context().call_on_close(client.close)
        return client

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
