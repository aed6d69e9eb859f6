"""What config.json and preprocessor_config.json say of a vision model: a stranger's text, checked.

Knows neither torch nor transformers: what passes here can be given to them. What the pictures
are put through is folded into one mean and one deviation per channel.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from netgraft.errors import TooLarge, UnsupportedFile
from netgraft.models.files.kept import file_of
from netgraft.models.recipe import Base

CONFIG, PICTURES = "config.json", "preprocessor_config.json"

LARGEST_TEXT = 4 * 2**20
DEEPEST = 32
MOST_MEMBERS = 1_024
"""Members of one list."""
LARGEST_NUMBER = 2**20
MOST_LABELS = 100_000
MOST_CHANNELS = MOST_FRAMES = 1_024
LARGEST_SIDE = 8_192
"""Of pictures, in pixels."""
SIDE = 224
"""Side of pictures where neither file says it."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RGB, FRAMES = 3, 16
"""Channels and frames, where nothing is said."""
WHITE = 255

OTHERS = ("backbone", "architecture", "base_model_name_or_path")
"""Where a configuration may name another model: to be looked up, or to be built by timm."""
FORGOTTEN = (
    "_name_or_path",
    "attn_implementation",
    "_attn_implementation",
    "use_pretrained_backbone",
)
"""What would have other files fetched, and changes nothing of a model whose weights are here."""


def read(text: bytes, file: str, name: str) -> dict[str, Any]:
    """The JSON object in a file of the model `name`. Raises UnsupportedFile and TooLarge."""
    if len(text) > LARGEST_TEXT:
        raise TooLarge(what=f"{file} of {name}", limit=f"{LARGEST_TEXT // 2**20} MiB")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unfit(name, file, "is damaged") from error
    if not isinstance(document, dict):
        raise _unfit(name, file, "is damaged")
    for key, value, depth in _members(document):
        if depth > DEEPEST:
            raise _unfit(name, file, f"has more than {DEEPEST} things within each other")
        if isinstance(value, float) and not math.isfinite(value):
            raise _unfit(name, file, f"says {key}: {value}, which is no number")
    return document


def checked(document: dict[str, Any], name: str) -> dict[str, Any]:
    """A configuration that transformers may be given. Raises UnsupportedFile and TooLarge."""
    if "auto_map" in document:
        raise _unfit(name, CONFIG, "comes with code of its own, which is never run")
    if document.get("quantization_config"):
        raise _unfit(name, CONFIG, "says that its weights are quantized; only plain ones are read")
    _check_sizes(document, name)
    _number(document, "num_labels", name, MOST_LABELS)
    _number(document, "num_channels", name, MOST_CHANNELS)
    for key in ("num_frames", "frames_per_clip"):
        _number(document, key, name, MOST_FRAMES)
    labels = document.get("id2label")
    if not isinstance(labels, dict | None):
        raise _unfit(name, CONFIG, "says id2label otherwise than as names by number")
    if labels and len(labels) > MOST_LABELS:
        raise TooLarge(what=f"id2label of {name}", limit=f"{MOST_LABELS:,} classes")
    kinds = document.get("architectures") or []
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        raise _unfit(name, CONFIG, "says architectures otherwise than as a list of names")
    if not isinstance(document.get("model_type"), str):
        raise _unfit(name, CONFIG, "says no model_type")
    return {key: value for key, value in document.items() if key not in FORGOTTEN}


def document(base: Base) -> dict[str, Any]:
    """What a recipe keeps of both files: "config", and "picture" as `picture` returns it."""
    found: dict[str, Any] = json.loads(file_of(base).config)
    return found


def channels(config: dict[str, Any]) -> int:
    """How many channels pictures have."""
    return int(config.get("num_channels") or RGB)


def frames(config: dict[str, Any]) -> int:
    """How many pictures a video has."""
    return int(config.get("num_frames") or config.get("frames_per_clip") or FRAMES)


def picture(config: dict[str, Any], said: dict[str, Any], name: str) -> dict[str, Any]:
    """What the weights expect of pictures: "side" in pixels, and "mean" and "std" per channel.

    As `source.Preprocessing` has them. Where preprocessor_config.json asks for pictures that are
    no squares, "height" and "width" are there too. Raises UnsupportedFile.
    """
    height, width = _size(config, said, name)
    fixed = _sides(config.get("image_size"), CONFIG, name)
    if fixed and fixed[0] != fixed[1]:
        problem = f"is for pictures of {fixed[0]} x {fixed[1]}; here they are prepared as squares"
        raise _unfit(name, CONFIG, problem)
    mean, std = _constants(channels(config), said, name)
    found = {"side": min(height, width), "mean": mean, "std": std}
    return found if height == width else {**found, "height": height, "width": width}


def _size(config: dict[str, Any], said: dict[str, Any], name: str) -> tuple[int, int]:
    cut = None if said.get("do_center_crop") is False else said.get("crop_size")
    for value, file in ((cut, PICTURES), (said.get("size"), PICTURES)):
        if sides := _sides(value, file, name):
            return sides
    own = config.get("image_size") or config.get("crop_size")
    return _sides(own, CONFIG, name) or (SIDE, SIDE)


def _sides(value: Any, file: str, name: str) -> tuple[int, int] | None:
    """Height and width that a size in any of the spellings means; None where nothing is said."""
    if value in (None, {}, []):
        return None
    if isinstance(value, dict):
        square = value.get("shortest_edge") or value.get("longest_edge")
        value = [value.get("height", square), value.get("width", square)]
    pair = list(value) if isinstance(value, list) else [value, value]
    pair = pair * 2 if len(pair) == 1 else pair
    whole = all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in pair)
    if not whole or len(pair) != 2:
        raise _unfit(name, file, f"says a size of pictures other than 1 to {LARGEST_SIDE:,} pixels")
    return pair[0], pair[1]


def _constants(count: int, said: dict[str, Any], name: str) -> tuple[list[float], list[float]]:
    """Mean and deviation of (x / 255 - mean) / std that stand for all that is said of pixels."""
    rgb = count == RGB
    means = _floats(said, "image_mean", IMAGENET_MEAN if rgb else (0.5,) * count, name)
    stds = _floats(said, "image_std", IMAGENET_STD if rgb else (0.5,) * count, name)
    if said.get("do_normalize") is False:
        means, stds = [0.0] * count, [1.0] * count
    if said.get("rescale_offset"):  # after rescaling 1 is taken off
        means = [mean + 1 for mean in means]
    if said.get("include_top"):  # normalised once more, by the deviation alone
        stds = [std * std for std in stds]
    [factor] = _floats(said, "rescale_factor", (1 / WHITE,), name)
    scale = WHITE * (factor if said.get("do_rescale") is not False else 1)
    if not (scale > 0 and all(std > 0 for std in stds)):
        raise _unfit(name, PICTURES, "says image_std or rescale_factor of 0 or less")
    if math.isclose(scale, 1, rel_tol=1e-6):
        return means, stds
    return [mean / scale for mean in means], [std / scale for std in stds]


def _floats(said: dict[str, Any], key: str, default: tuple[float, ...], name: str) -> list[float]:
    value = said.get(key)
    given = list(default) if value is None else value
    if isinstance(given, int | float):
        given = [given] * len(default)
    plain = isinstance(given, list) and all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in given
    )
    if not plain or len(given) != len(default):
        expected = "a number" if len(default) == 1 else f"{len(default)} numbers, one per channel,"
        raise _unfit(name, PICTURES, f"does not say {expected} for {key}")
    return [float(each) for each in given]


def _check_sizes(config: dict[str, Any], name: str) -> None:
    """Raise TooLarge for a configuration whose structure alone could fill the memory."""
    for key, value, _ in _members(config):
        if isinstance(value, list) and len(value) > MOST_MEMBERS:
            raise TooLarge(what=f"{key} of {name}", limit=f"{MOST_MEMBERS:,} members")
        if isinstance(value, str) and key in OTHERS and re.search(r"[/\\:]", value):
            raise _unfit(name, CONFIG, f"names another model as its {key}, which is not fetched")
        if isinstance(value, int | float) and abs(value) > LARGEST_NUMBER:
            raise TooLarge(what=f"{key} of {name}", limit=f"{LARGEST_NUMBER:,}")


def _number(config: dict[str, Any], key: str, name: str, most: int) -> None:
    value = config.get(key)
    if value is None:
        return
    if type(value) is not int or value < 1:
        raise _unfit(name, CONFIG, f"says {key}: {json.dumps(value)[:40]}, which is no count")
    if value > most:
        raise TooLarge(what=f"{key} of {name}", limit=f"{most:,}")


def _members(value: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, Any, int]]:
    """All values at every depth down to one below DEEPEST, each under the nearest key."""
    yield key, value, depth
    if depth > DEEPEST:
        return
    if isinstance(value, dict):
        for inner, each in value.items():
            yield from _members(each, inner, depth + 1)
    elif isinstance(value, list):
        for each in value:
            yield from _members(each, key, depth + 1)


def _unfit(name: str, file: str, problem: str) -> UnsupportedFile:
    return UnsupportedFile(path=name, problem=f"its {file} {problem}.")
