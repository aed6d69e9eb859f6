"""The root of the error tree: a constant reason, one English template, and values."""

from typing import ClassVar

from netgraft.language import Message, mark, render, shortened


class NetgraftError(Exception):
    """An error that a user can meet.

    Raise a leaf of the tree with the values its sentence needs:
    `raise UnknownModel(name="resnet500", hint="")`. A value that is a phrase or a sentence is a
    `Message`, so that every language says it whole.
    """

    reason: ClassVar[str] = "INTERNAL"
    template: ClassVar[str] = mark(
        "Something went wrong inside netgraft; the server's log has the details."
    )

    def __init__(self, **values: object) -> None:
        self.values = values
        super().__init__(self.sentence())

    def sentence(self, language: str = "en") -> str:
        """The error in words, in "en" or "zh" (any other language: English)."""
        shown = {name: shortened(value, language) for name, value in self.values.items()}
        return render(self.template, shown, language)

    def details(self, language: str = "en") -> dict[str, str]:
        """The values by name, as the sentence in that language says them: for programs."""
        return {name: str(shortened(value, language)) for name, value in self.values.items()}

    @property
    def message(self) -> Message:
        """The sentence without its class: what another message can hold, or a store can keep."""
        return Message(self.template, **self.values)

    def __reduce__(self) -> tuple[object, ...]:
        return _remake, (type(self), self.values)


def _remake(kind: type[NetgraftError], values: dict[str, object]) -> NetgraftError:
    return kind(**values)
