"""A sheet of varied training pictures: what a network is shown, for people to look at."""

import io
from collections.abc import Sequence

from PIL import Image

from netgraft.store.store import Store
from netgraft.tuning.data.examples import Examples

SHOWN = 16
ACROSS = 4
SIDE = 112
"""Pixels of each picture on the sheet, and of its border."""
BORDER = 4
NAME = "varied.jpg"
QUALITY = 85


def varied_sheet(store: Store, job: str) -> bytes | None:
    """The sheet of a job as a JPEG; None where there is none, because nothing was trained."""
    try:
        return store.read(_folder(job), NAME)
    except FileNotFoundError:
        return None


def keep_sheet(store: Store, job: str, examples: Examples, order: Sequence[int], seed: int) -> None:
    """Make and keep a job's sheet, of examples from all over an order. Raises DiskFull."""
    pictures = [
        _picture(examples, index, seed) for index in order[:: max(1, len(order) // SHOWN)][:SHOWN]
    ]
    store.put_file(_folder(job), NAME, _sheet(pictures))


def _picture(examples: Examples, index: int, seed: int) -> Image.Image:
    x_CHW, _ = examples.get(index, hash((seed, index)) % 2**63)
    return Image.fromarray(x_CHW.permute(1, 2, 0).numpy()).resize((SIDE, SIDE))


def _sheet(pictures: Sequence[Image.Image]) -> bytes:
    step = SIDE + BORDER
    rows = -(-len(pictures) // ACROSS)
    sheet = Image.new("RGB", (ACROSS * step + BORDER, rows * step + BORDER), "white")
    for place, picture in enumerate(pictures):
        sheet.paste(picture, (BORDER + place % ACROSS * step, BORDER + place // ACROSS * step))
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def _folder(job: str) -> str:
    return f"runs/{job}"
