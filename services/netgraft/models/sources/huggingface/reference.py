"""Vision models of Hugging Face: a folder, or hf/ORG/NAME, becomes a recipe.

The recipe holds the configuration itself and names the weights by content, so nothing is asked of
the folder or the hub again. Only classes that `transformers` itself has for pictures are built:
code that comes with a model is never run, and weights are read from safetensors alone.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netgraft.language import Message
from netgraft.models import notices
from netgraft.models.recipe import Base, Recipe, UserFile
from netgraft.models.source import Resolved
from netgraft.models.sources.huggingface import build as hf_build
from netgraft.models.sources.huggingface import config as hf_config
from netgraft.models.sources.huggingface import folder as hf_folder
from netgraft.models.sources.huggingface.download import download
from netgraft.models.sources.huggingface.names import NAME, parts
from netgraft.models.untrusted.formats import display_name

if TYPE_CHECKING:
    from netgraft.store.store import Store

OPENED = "opened"
"""Where the store keeps what was found in folders."""


def open_reference(reference: str, store: "Store") -> Resolved:
    """The recipe of hf/ORG/NAME, or hf/ORG/NAME@REVISION.

    What is on this machine is not asked for again; what is missing is downloaded. Raises
    PackageMissing, WeightsUnavailable, and what `open_folder` does.
    """
    hf_build.must_have_transformers()
    name, revision = parts(reference)
    folder = _snapshot(name, revision)
    if not (folder and hf_folder.is_whole(folder)):
        for _ in download(reference):
            pass
        folder = _snapshot(name, revision)
    assert folder is not None
    # In the hub's cache a snapshot holds links to the repository's own blobs.
    return open_folder(folder, name, store, within=folder.parents[1])


def _snapshot(name: str, revision: str | None) -> Path | None:
    """The folder in which the hub's cache has a commit, or a part of it."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(name, hf_config.CONFIG, revision=revision)
    except HFValidationError:  # `download` reports it
        return None
    return Path(config).parent if isinstance(config, str) else None


def open_folder(folder: Path, name: str, store: "Store", *, within: Path | None = None) -> Resolved:
    """The recipe of a folder that `save_pretrained` wrote.

    Links in it may lead to what lies below `within`. Raises PackageMissing, UnsupportedFile and
    TooLarge; nothing is stored then.
    """
    hf_build.must_have_transformers()
    shown = "/".join(display_name(part) for part in name.split("/"))
    with hf_folder.copied(folder, within or folder, shown) as copy:
        config = hf_config.checked(copy.config, shown)
        picture = hf_config.picture(config, copy.pictures, shown)
        hf_build.kind_in(config, shown)
        made = base(config, shown, "", picture)
        known = f"{copy.digest}.{hf_build.library()}.hf.json"
        if found := store.get_file(OPENED, known):
            digest = json.loads(found)["tensors"]
        else:
            hf_build.check_runs(made, copy.elements)
            digest = store.put_tensors(hf_build.loaded(copy.folder, config, shown))
            store.put_file(OPENED, known, json.dumps({"tensors": digest}).encode())
    return Resolved(Recipe(base(config, shown, digest, picture)), tuple(_notices(picture, shown)))


def base(config: dict[str, Any], name: str, digest: str, picture: dict[str, Any]) -> Base:
    """The base with that configuration; its weights are a delta's, "" for random ones."""
    task = hf_build.task_in(config, name)
    text = json.dumps({"config": config, "picture": picture}, sort_keys=True)
    frames = (hf_config.frames(config),) if task == "video" else ()
    shape = (hf_config.channels(config), *frames, picture["side"], picture["side"])
    return Base(NAME, name, None, file=UserFile(digest, NAME, name, task, shape, (), text))


def _notices(picture: dict[str, Any], name: str) -> Iterator[str]:
    if "height" not in picture:
        return
    yield notices.stored(
        Message(
            "{name} was trained on pictures of {height} x {width}; here they are prepared as "
            "squares of {side} pixels.",
            name=name,
            height=picture["height"],
            width=picture["width"],
            side=picture["side"],
        )
    )
