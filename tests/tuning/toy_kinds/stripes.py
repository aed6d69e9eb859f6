"""A kind of data from outside the package: stripes that lie, and stripes that stand."""

import io

from PIL import Image

from netgraft.tuning.data.containers.memory import Memory
from netgraft.tuning.data.kinds.kind import Place, Rank
from netgraft.tuning.data.manifest import Manifest, Options


class Stripes:
    name = "stripes"
    rank = Rank.NAME

    def accepts(self, place: Place) -> bool:
        return place.reference == self.name

    def open(self, place: Place, options: Options) -> Manifest:
        container = self.container(place)
        return Manifest(
            reference=self.name,
            kind=self.name,
            options=options,
            task="classification",
            class_names=("lying", "standing"),
            names=tuple(container.pictures),
            labels=(0, 1),
            parts=("train", "train"),
            container=container,
            side=8,
        )

    def container(self, place: Place) -> Memory:
        return Memory({"0.png": striped(turned=True), "1.png": striped(turned=False)})


def striped(turned: bool) -> bytes:
    picture = Image.new("L", (8, 8))
    picture.putdata([255 * (index % 2) for index in range(64)])
    buffer = io.BytesIO()
    (picture.transpose(Image.Transpose.TRANSPOSE) if turned else picture).save(buffer, "PNG")
    return buffer.getvalue()


KIND = Stripes()
