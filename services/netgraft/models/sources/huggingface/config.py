"""Check config.json and preprocessor_config.json of a vision model, which anybody may have written.

Knows neither torch nor transformers: what passes here can be given to them. The steps that
prepare pictures are folded into one mean and one deviation per channel.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from netgraft.errors import TooLarge, UnsupportedFile
from netgraft.language import Message
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
"""Side of pictures where neither file has one."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RGB, FRAMES = 3, 16
"""Channels and frames of a configuration that has no counts of them."""
WHITE = 255

OTHERS = ("backbone", "architecture", "base_model_name_or_path")
"""Keys under which a configuration may name another model, to be looked up or built by timm."""
FORGOTTEN = (
    "_name_or_path",
    "attn_implementation",
    "_attn_implementation",
    "use_pretrained_backbone",
)
"""Keys that would have other files fetched, and change nothing where the weights are here."""


def read(text: bytes, file: str, name: str) -> dict[str, Any]:
    """The JSON object in a file of the model `name`. Raises UnsupportedFile and TooLarge."""
    if len(text) > LARGEST_TEXT:
        raise TooLarge(what=_part(file, name), limit=f"{LARGEST_TEXT // 2**20} MiB")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unfit(name, file, Message("is damaged")) from error
    if not isinstance(document, dict):
        raise _unfit(name, file, Message("is damaged"))
    for key, value, depth in _members(document):
        if depth > DEEPEST:
            nested = Message("has more than {most} things within each other", most=DEEPEST)
            raise _unfit(name, file, nested)
        if isinstance(value, float) and not math.isfinite(value):
            problem = Message("has {key}: {value}, which is not a number", key=key, value=value)
            raise _unfit(name, file, problem)
    return document


def checked(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The configuration, safe to be given to transformers. Raises UnsupportedFile and TooLarge."""
    if "auto_map" in document:
        raise _unfit(name, CONFIG, Message("comes with code of its own, which is never run"))
    if document.get("quantization_config"):
        problem = Message("says that its weights are quantized; only plain ones are read")
        raise _unfit(name, CONFIG, problem)
    _check_sizes(document, name)
    _number(document, "num_labels", name, MOST_LABELS)
    _number(document, "num_channels", name, MOST_CHANNELS)
    for key in ("num_frames", "frames_per_clip"):
        _number(document, key, name, MOST_FRAMES)
    labels = document.get("id2label")
    if not isinstance(labels, dict | None):
        raise _unfit(name, CONFIG, Message("has an id2label that does not map numbers to names"))
    if labels and len(labels) > MOST_LABELS:
        limit = Message("{most:,} classes", most=MOST_LABELS)
        raise TooLarge(what=_part("id2label", name), limit=limit)
    kinds = document.get("architectures") or []
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        raise _unfit(name, CONFIG, Message("has architectures that are not a list of names"))
    if not isinstance(document.get("model_type"), str):
        raise _unfit(name, CONFIG, Message("has no model_type"))
    return {key: value for key, value in document.items() if key not in FORGOTTEN}


def document(base: Base) -> dict[str, Any]:
    """Both files as a recipe keeps them: "config", and "picture" as `picture` returns it."""
    found: dict[str, Any] = json.loads(file_of(base).config)
    return found


def channels(config: dict[str, Any]) -> int:
    """The number of channels that pictures have."""
    return int(config.get("num_channels") or RGB)


def frames(config: dict[str, Any]) -> int:
    """The number of frames that a video has."""
    return int(config.get("num_frames") or config.get("frames_per_clip") or FRAMES)


def picture(config: dict[str, Any], said: dict[str, Any], name: str) -> dict[str, Any]:
    """The pictures that the weights expect: "side" in pixels, and "mean" and "std" per channel.

    As `source.Preprocessing` has them. Where preprocessor_config.json asks for pictures that are
    no squares, "height" and "width" are there too. Raises UnsupportedFile.
    """
    height, width = _size(config, said, name)
    fixed = _sides(config.get("image_size"), CONFIG, name)
    if fixed and fixed[0] != fixed[1]:
        problem = Message(
            "is for pictures of {height} x {width}; here they are prepared as squares",
            height=fixed[0],
            width=fixed[1],
        )
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
        problem = Message(
            "says a size of pictures other than 1 to {most:,} pixels", most=LARGEST_SIDE
        )
        raise _unfit(name, file, problem)
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
        raise _unfit(name, PICTURES, Message("says image_std or rescale_factor of 0 or less"))
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
        several = Message("{count} numbers, one per channel,", count=len(default))
        expected = Message("a number") if len(default) == 1 else several
        problem = Message("does not say {expected} for {key}", expected=expected, key=key)
        raise _unfit(name, PICTURES, problem)
    return [float(each) for each in given]


def _check_sizes(config: dict[str, Any], name: str) -> None:
    """Raise TooLarge for a configuration whose structure alone could fill the memory."""
    for key, value, _ in _members(config):
        if isinstance(value, list) and len(value) > MOST_MEMBERS:
            limit = Message("{most:,} members", most=MOST_MEMBERS)
            raise TooLarge(what=_part(key, name), limit=limit)
        if isinstance(value, str) and key in OTHERS and re.search(r"[/\\:]", value):
            problem = Message("names another model as its {key}, which is not fetched", key=key)
            raise _unfit(name, CONFIG, problem)
        if isinstance(value, int | float) and abs(value) > LARGEST_NUMBER:
            raise TooLarge(what=_part(key, name), limit=f"{LARGEST_NUMBER:,}")


def _number(config: dict[str, Any], key: str, name: str, most: int) -> None:
    value = config.get(key)
    if value is None:
        return
    if type(value) is not int or value < 1:
        shown = json.dumps(value)[:40]
        problem = Message(
            "has {key}: {value}, which is not a positive whole number", key=key, value=shown
        )
        raise _unfit(name, CONFIG, problem)
    if value > most:
        raise TooLarge(what=_part(key, name), limit=f"{most:,}")


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


def _part(part: str, name: str) -> Message:
    return Message("{part} of {name}", part=part, name=name)


def _unfit(name: str, file: str, problem: Message) -> UnsupportedFile:
    mismatch = Message("its {file} {problem}.", file=file, problem=problem)
    return UnsupportedFile(path=name, problem=mismatch)
