"""Pictures that somebody asks a model about: files, folders of them, and bytes.

They become pixels by the way that training's held-out pictures take.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netgraft.errors import PictureNotFound
from netgraft.models.answering import Answering
from netgraft.models.untrusted.roots import inside
from netgraft.tuning.data.containers.folder import Folder
from netgraft.tuning.data.containers.memory import Memory
from netgraft.tuning.data.decode import error_for
from netgraft.tuning.data.kinds.endings import is_picture
from netgraft.tuning.data.manifest import Container
from netgraft.tuning.data.pixels import fetched, middle, tensor_of

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor


@dataclass(frozen=True)
class Picture:
    """A picture that somebody asks about."""

    name: str
    """As it was asked for: a path, or any name."""
    container: Container
    key: str
    """Its name in the container."""

    def decoded(self, answering: Answering) -> "Image.Image":
        """Its picture, upright, RGB and as small as the model needs it.

        Raises InvalidData, which names it.
        """
        decoded, _ = fetched(self.container, self.key, answering.resize)
        if decoded.picture is None:
            raise error_for(decoded.facts, name=self.name, reference=self.name)
        return decoded.picture


def square(decoded: "Image.Image", answering: Answering) -> "Tensor":
    """A decoded picture as x_CHW (uint8): the square in its middle."""
    return tensor_of(middle(decoded, answering.side, answering.resize))


def pictures_at(paths: Sequence[str], roots: tuple[Path, ...]) -> list[Picture]:
    """The pictures that paths name: files, and folders with all that lies below them.

    A file is taken for a picture whatever its name; in a folder, files that are none are passed
    over. Raises PictureNotFound and OutsideDataRoots.
    """
    return [found for path in paths for found in _at(path, roots)]


def pictures_of(encoded: Mapping[str, bytes]) -> list[Picture]:
    """Pictures in memory, by name."""
    memory = Memory(encoded)
    return [Picture(name, memory, name) for name in encoded]


def _at(path: str, roots: tuple[Path, ...]) -> Iterator[Picture]:
    place = inside(path, roots, missing=PictureNotFound)
    if not place.is_dir():
        yield Picture(path, Folder(place.parent, roots), place.name)
        return
    folder = Folder(place, roots)
    names = [name for name in folder.listing().files if is_picture(name, folder.head)]
    if not names:
        raise PictureNotFound(data=f"{path.rstrip('/')}/*", roots=path)
    for name in names:
        yield Picture(f"{path.rstrip('/')}/{name}", folder, name)
