"""The fixtures of surgery: anatomy is what surgery stands on."""

from tests.surgery.conftest import anatomies, elsewhere, store, surgery, tiny

__all__ = ["anatomies", "elsewhere", "store", "surgery", "tiny"]
