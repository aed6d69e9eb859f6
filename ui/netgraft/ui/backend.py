"""Connections to the gRPC server: one for each language that people here read."""

from netgraft.client import AsyncClient
from netgraft.settings import settings


class Backend:
    """Hands out clients; they share nothing but the address. Use inside one event loop."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str], AsyncClient] = {}

    def client(self, language: str) -> AsyncClient:
        """The client whose errors come in `language` ("en", "zh"), under the present token."""
        key = (language, settings().read_token())
        if key not in self._clients:
            self._clients[key] = AsyncClient(token=key[1], language=language)
        return self._clients[key]

    async def close(self) -> None:
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.close()
