"""The fixtures of surgery: anatomy is what surgery stands on."""

from tests.surgery.conftest import anatomies, store, surgery, tiny

__all__ = ["anatomies", "store", "surgery", "tiny"]
