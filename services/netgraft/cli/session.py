"""What one call of `netgraft` is about: which server, how it prints.

Knows nothing of any single command.
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from netgraft.cli.language import spoken

if TYPE_CHECKING:
    from netgraft.cli.door import Door
    from netgraft.client import Client

LOOPBACK = ("", "127.0.0.1", "localhost", "::1")


@dataclass
class Session:
    """Options that every command knows, wherever on the line they were written."""

    server: str = ""
    """HOST:PORT of --server; empty when it was not given."""
    json: bool = False

    @property
    def address(self) -> str:
        """The server that was named by --server or NETGRAFT_ADDRESS; empty: none was."""
        from netgraft.settings import settings

        return self.server or settings().address

    def door(self) -> "Door":
        """The services, at the server that was named, else in this process."""
        if self.address:
            return self.client()
        from netgraft.cli.door import InProcess

        return InProcess()

    def client(self) -> "Client":
        """The services at the server: the one that was named, else the embedded one.

        The connection is closed when the command ends.
        """
        # gRPC's own log would stand between our lines: a server that goes away is ours to tell.
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
        from netgraft.client import Client

        client = Client(self.address, language=spoken())
        click.get_current_context().call_on_close(client.close)
        return client

    @property
    def here(self) -> bool:
        """Whether the services read this machine's files."""
        return self.address.rpartition(":")[0] in LOOPBACK

    def web(self, page: str) -> str:
        """Address of a page of the web gateway beside the server."""
        from netgraft.settings import settings

        host = self.address.rpartition(":")[0] or settings().host
        return f"http://{host}:{settings().web_port}{page}"


pass_session = click.make_pass_decorator(Session, ensure=True)
