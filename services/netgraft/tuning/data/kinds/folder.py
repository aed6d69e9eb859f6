"""Folders of pictures: one folder per class, optionally below folders for the parts.

    flowers/daisy/1.jpg            flowers/train/daisy/1.jpg
    flowers/rose/2.jpg             flowers/val/rose/2.jpg

The classes are the folders in alphabetical order. Without a part to measure on, a share of each
class is held out. Files of systems and files that are no pictures are passed over.
"""

from netgraft.errors import InvalidData
from netgraft.language import Message
from netgraft.tuning.data.containers.folder import Folder
from netgraft.tuning.data.containers.tree import Tree
from netgraft.tuning.data.kinds.endings import is_picture
from netgraft.tuning.data.kinds.kind import Place, Rank
from netgraft.tuning.data.kinds.layout import read_layout
from netgraft.tuning.data.kinds.rows import manifest_of
from netgraft.tuning.data.manifest import Container, Manifest, Options


class ImageFolder:
    """A folder of folders of pictures."""

    name = "folder"
    rank = Rank.ANY

    def accepts(self, place: Place) -> bool:
        return True

    def open(self, place: Place, options: Options) -> Manifest:
        if not place.path.is_dir():
            problem = Message(
                "it is a file, but neither an archive nor a table: give one of these, or a folder "
                "of pictures."
            )
            raise InvalidData(data=place.reference, problem=problem)
        tree = Folder(place.path, place.roots)
        return read_folders(tree, str(place.path), self.name, options)

    def container(self, place: Place) -> Container:
        return Folder(place.path, place.roots)


def read_folders(tree: Tree, reference: str, kind: str, options: Options) -> Manifest:
    """The manifest of folders, wherever they are. Raises InvalidData and InvalidValue."""
    listing = tree.listing()
    pictures = [name for name in listing.files if is_picture(name, tree.head)]
    read = read_layout(pictures, listing.folders, options, reference)
    read.passed_over = listing.passed_over + len(listing.files) - len(pictures)
    return manifest_of(read, reference=reference, kind=kind, options=options, container=tree)


KIND = ImageFolder()
