"""The size of each parameter's last gradient, which training leaves beside a tuned recipe."""

import json

from netgraft.store.store import Store

KIND = "gradients"


def keep(store: Store, recipe_id: str, squares: dict[str, float]) -> None:
    """Keep ‖∂loss/∂W‖² by parameter name."""
    store.put_file(KIND, f"{recipe_id}.json", json.dumps(squares).encode())


def read(store: Store, recipe_id: str) -> dict[str, float]:
    """The squares that were kept, by parameter name; {} when none were."""
    kept = store.get_file(KIND, f"{recipe_id}.json")
    squares: dict[str, float] = json.loads(kept) if kept else {}
    return squares
