"""Pictures in memory."""

from collections.abc import Mapping
from dataclasses import dataclass

from netgraft.tuning.data.containers.tree import too_many_bytes


@dataclass(frozen=True)
class Memory:
    """Encoded pictures by their names."""

    pictures: Mapping[str, bytes]

    def read(self, name: str, most: int) -> bytes:
        try:
            data = self.pictures[name]
        except KeyError as error:
            raise FileNotFoundError(name) from error
        if len(data) > most:
            raise too_many_bytes(name, len(data))
        return data

    def stamp(self, name: str) -> tuple[int, int]:
        try:
            return len(self.pictures[name]), 0
        except KeyError as error:
            raise FileNotFoundError(name) from error
