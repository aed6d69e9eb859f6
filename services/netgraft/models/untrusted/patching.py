"""Replacing a method for one thread, for as long as a block lasts.

Libraries' constructors load weights and allocate memory where only a structure is
wanted, and offer no switch. Other threads keep the original; a second thread that
wants to replace something waits.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.RLock()


@contextmanager
def override(owner: type, name: str, replacement: Callable[..., Any]) -> Iterator[None]:
    """Within this block and thread, `owner.name` is `replacement(original, *args)`."""
    with _lock:
        original = owner.__dict__[name]
        thread = threading.get_ident()

        def chosen(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == thread:
                return replacement(original, *args, **kwargs)
            return original(*args, **kwargs)

        setattr(owner, name, chosen)
        try:
            yield
        finally:
            setattr(owner, name, original)


def nothing(_original: Callable[..., Any], *_: Any, **__: Any) -> None:
    """A replacement that does nothing."""
