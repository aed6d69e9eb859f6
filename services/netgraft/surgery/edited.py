"""The result of an operation: the new recipe, its last edit, and the facts about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netgraft.models.edits.edit import Edit
from netgraft.models.recipe import HeadEdit, Recipe

if TYPE_CHECKING:
    from netgraft.surgery.messages import Messages


@dataclass(frozen=True)
class Facts:
    """The facts that an operation found out about its edit, so that nobody works them out again."""

    edit: Edit

    @property
    def heads(self) -> Sequence[HeadEdit]:
        """The heads that the edit made or changed."""
        return ()

    @property
    def kept(self) -> Sequence[tuple[str, str]]:
        """Classes that keep their weights: the name now, and the name before."""
        return ()

    def sentences(self, messages: "Messages") -> Sequence[str]:
        """Sentences for people about the edit, without full stops."""
        return [messages.described(self.edit.describe())]


@dataclass(frozen=True)
class Edited:
    """A recipe that is stored, with an edit more than its parent."""

    recipe: Recipe
    facts: Facts

    @property
    def edit(self) -> Edit:
        return self.facts.edit
