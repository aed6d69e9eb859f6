"""Connections to the gRPC server: one for each language and token in use."""

from netgraft.client import AsyncClient
from netgraft.settings import settings


class Backend:
    """Makes clients when they are first needed. Use it inside one event loop."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str], AsyncClient] = {}

    def client(self, language: str) -> AsyncClient:
        """Return the client with the current token whose errors are in `language` ("en", "zh")."""
        key = (language, settings().read_token())
        if key not in self._clients:
            self._clients[key] = AsyncClient(token=key[1], language=language)
        return self._clients[key]

    async def close(self) -> None:
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.close()
