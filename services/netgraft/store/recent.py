"""The values that were asked for last, by key: each is made once, whoever asks meanwhile."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock, RLock
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Turn:
    """The making of one value, for which several threads may wait."""

    lock: Any = field(default_factory=RLock)  # its type has no public name
    threads: int = 0


class Recent(Generic[T]):
    """At most `most` values in memory. Safe for use from several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[str, T] = OrderedDict()
        self._turns: dict[str, _Turn] = {}
        self._lock = Lock()

    def __contains__(self, key: str) -> bool:
        with self._lock:
            return key in self._values

    def get(self, key: str, make: Callable[[], T]) -> T:
        """The value of a key. `make` makes it where it is not known.

        Threads that ask for one key at once wait for the first. What `make` raises is raised
        to its thread alone, and the next one tries again.
        """
        with self._lock:
            if key in self._values:
                return self._found(key)
            turn = self._turns.setdefault(key, _Turn())
            turn.threads += 1
        try:
            with turn.lock:
                with self._lock:
                    if key in self._values:
                        return self._found(key)
                value = make()
                self.put(key, value)
                return value
        finally:
            with self._lock:
                turn.threads -= 1
                if not turn.threads:
                    del self._turns[key]

    def put(self, key: str, value: T) -> None:
        """Remember a value. The least recently used one is dropped for it."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)

    def _found(self, key: str) -> T:
        self._values.move_to_end(key)
        return self._values[key]
