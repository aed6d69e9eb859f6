"""The fixtures of surgery: a store of its own for each model."""

from tests.surgery.conftest import store

__all__ = ["store"]
