"""Sentences about edits, in the reader's language."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netgraft.language import Message, Translator, mark, plural

if TYPE_CHECKING:
    from netgraft.language import Message
    from netgraft.models.edits.dropout import Dropout
    from netgraft.models.edits.lora import Lora
    from netgraft.models.edits.replace import Replace
    from netgraft.surgery.warm import Warm

MOST_NAMES = 8

WHY = {
    "untrained": mark(
        "No class keeps its weights: those of the model are random, or not on this machine"
    ),
    "unnamed": mark(
        "No class keeps its weights: the names of the model's classes are not known; a map to "
        "their places, such as cat=#3, says which are kept"
    ),
    "unlike": mark("No class keeps its weights: the model knows none by these names"),
}


class Messages:
    """Sentences about edits in one language, without full stops."""

    def __init__(self, language: str) -> None:
        self.say = Translator(language)

    def summary(self, sentences: Sequence[str]) -> str:
        """Several sentences as one text."""
        return self.say(". ").join(sentences) + self.say(".")

    def described(self, line: Message) -> str:
        """An edit in its own words."""
        return line.say(self.say.language)

    def background(self, classes: int) -> str:
        """Say that a detector has one class more than were asked for, the background."""
        return self.say(
            plural("{count:,} class and the background", "{count:,} classes and the background"),
            count=classes,
        )

    def kept(self, kept: Sequence[tuple[str, str]], classes: int, warm: "Warm") -> list[str]:
        """Say which of the new classes keep their weights, as pairs of name now and before."""
        said = []
        if kept:
            names = [self._class(new, old) for new, old in kept]
            listed = ", ".join(names[:MOST_NAMES]) + (", …" if names[MOST_NAMES:] else "")
            said.append(
                self.say(
                    plural(
                        "{count:,} of {classes:,} classes keeps its weights ({names})",
                        "{count:,} of {classes:,} classes keep their weights ({names})",
                    ),
                    count=len(kept),
                    classes=classes,
                    names=listed,
                )
            )
        elif reason := "untrained" if warm.kept else warm.reason:
            said.append(self.say(WHY[reason]))
        if warm.ambiguous:
            said.append(
                self.say(
                    "Several of the model's classes have one of these names, so these start "
                    "again: {names}",
                    names=", ".join(warm.ambiguous),
                )
            )
        return said

    def trainable(
        self, layers: Sequence[str], trainable: bool, trains: int, of: int, norms: int
    ) -> list[str]:
        """Say what was frozen or unfrozen, what trains, and which norms keep their statistics."""
        named = ", ".join(layers)
        if trainable:
            change = self.say("Trains again: {layers}", layers=named)
        else:
            change = self.say("Frozen: {layers}", layers=named)
        count = self.say("{trains:,} of {of:,} parameters train", trains=trains, of=of)
        return [change, count, *self._still(norms)]

    def _still(self, norms: int) -> list[str]:
        if not norms:
            return []
        return [
            self.say(
                plural(
                    "{count:,} frozen batch norm keeps its running statistics",
                    "{count:,} frozen batch norms keep their running statistics",
                ),
                count=norms,
            )
        ]

    def loss(self, name: str, says: Message) -> str:
        """Say what training minimises from now on."""
        return self.say("Loss: {name} ({formula})", name=name, formula=says)

    def undone(self, title: str) -> str:
        """Say which model is the current one again."""
        return self.say("Back to {title}", title=title)

    def replaced(self, edit: "Replace", old: str) -> str:
        """Say which layer took the place of which."""
        change = f"{edit.path}: {old} → {edit.layer}"
        if edit.tensors or edit.draw:
            return self.say("{change}; its weights are new", change=change)
        return change

    def adapted(self, edit: "Lora", trains: int, of: int, norms: int) -> list[str]:
        """Say where adapters are now, what trains, and which batch norms keep their statistics."""
        return [
            self.say(
                plural(
                    "LoRA adapters of rank {rank} beside {count:,} layer",
                    "LoRA adapters of rank {rank} beside {count:,} layers",
                ),
                rank=edit.rank,
                count=len(edit.layers),
            ),
            self.say(
                "They and the head train: {trains:,} of {of:,} parameters", trains=trains, of=of
            ),
            *self._still(norms),
        ]

    def dropped(self, edit: "Dropout") -> list[str]:
        """Say where dropout is now, in one sentence for new ones and one for those there before."""
        said = []
        if edit.layers:
            said.append(
                self.say("Dropout({p:g}) before {layers}", p=edit.p, layers=", ".join(edit.layers))
            )
        if edit.dropouts:
            said.append(
                self.say("{layers}: Dropout({p:g})", p=edit.p, layers=", ".join(edit.dropouts))
            )
        return said

    def _class(self, new: str, old: str) -> str:
        if new.casefold() == old.casefold():
            return new
        return self.say("{name} from {old}", name=new, old=old)
