"""The steps of one plan as they are put together, and what "it" refers to so far."""

from collections.abc import Sequence
from typing import Any

from netgraft.agent.rules.ask import Ask
from netgraft.agent.rules.clause import REFERENCES, Clause
from netgraft.agent.rules.names import ModelNames
from netgraft.agent.rules.tokens import Token
from netgraft.agent.steps import Step

_WHOLE = ("EPOCHS", "BATCH_SIZE", "WORKERS", "IMAGE_SIZE", "SEED", "CLASSES", "MAX_PARAMS", "LIMIT")


class Builder:
    """Collects steps, and keeps track of the models that they name and make."""

    def __init__(self, names: ModelNames, mentioned: Sequence[str] = ()) -> None:
        self.names = names
        self.steps: list[Step] = []
        self.file_names: list[str] = []
        """Names that were asked for an export; the download is named by the service."""
        self.latest: str | None = None
        """The model that "it" currently means; None: the conversation's current one."""
        self.mentioned = list(mentioned)
        """Models that were named, those of the last plan first."""
        self.root = mentioned[0] if len(mentioned) == 1 else None
        """The model that "the original" means; until a step names one, that of the last plan."""
        self.data: str | None = None
        """The data set that was trained on last."""
        self._made: dict[str, str] = {}
        """Catalogue name → "$N" of the latest step that edited it."""

    def add(self, kind: type[Step], model: str | None, **fields: Any) -> None:
        """Append a step on a model. Fields that are None were not said."""
        said = {name: value for name, value in fields.items() if value is not None}
        step = kind(model=model, **said)  # type: ignore[call-arg]  # every step on a model has it
        if model is not None and not model.startswith("$"):
            self.root = model
        self.steps.append(step)
        if step.makes_model:
            made = f"${len(self.steps)}"
            for name, reference in [*self._made.items(), (model, model)]:
                if reference == model and name is not None and not name.startswith("$"):
                    self._made[name] = made
            self.latest = made
        elif model is not None:
            self.latest = model

    def each(self, clause: Clause, kind: type[Step], **fields: Any) -> None:
        """Append a step for each model that a clause means."""
        for model in self.models(clause):
            self.add(kind, model, **fields)

    def name(self, item: Token) -> str:
        """The model name that an item gives, or "". Raises Ask if it is ambiguous."""
        word = {"word": item.text}
        if item.has("family"):
            raise Ask("model", word, item.value, "model", item, replaces=True)
        if item.has("nomodel"):
            raise Ask("unknown_model", word, item.value, "model", item, replaces=True)
        if item.has("FROM_TIMM"):
            name = self.names.from_timm(item.value)
            if not name:
                options = self.names.nearest(item.value)
                raise Ask("unknown_model", word, options, "model", item, replaces=True)
            return name
        return str(item.value) if item.has("MODEL", "FROM_TORCHVISION") else ""

    def reference(self, item: Token) -> str | None:
        """The reference to the model that an item means; None: the current model."""
        if item.has("original"):
            return self.root
        name = self.name(item)
        if name:
            if name not in self.mentioned:
                self.mentioned.append(name)
            return self.made_of(name)
        return self.latest

    def made_of(self, name: str) -> str:
        """A model's name, or "$N" once a step has edited it."""
        return self._made.get(name, name)

    def models(self, clause: Clause) -> list[str | None]:
        """References of the models that a clause means, each once."""
        items = clause.having(*REFERENCES)
        named = [item for item in items if not item.has("it", "them")]
        references = [self.reference(item) for item in named or items[:1]]
        if clause.having("them") and not named and len(self.mentioned) > 1:
            references = [self.made_of(name) for name in self.mentioned]
        return unique(references or [self.latest])


def slot(clause: Clause, tag: str) -> Any:
    """The value of a slot; None when it was not said. Raises Ask on two different values."""
    values = unique(item.value for item in clause.having(tag))
    if len(values) > 1:
        raise Ask("two_values", {"slot": tag.lower(), "first": values[0], "second": values[1]},
                  tuple(str(value) for value in values[:3]))  # fmt: skip
    if not values:
        return None
    value = values[0]
    if tag in _WHOLE and isinstance(value, float):
        if not value.is_integer():
            raise Ask("whole", {"slot": tag.lower(), "value": value})
        return int(value)
    return value


def unique(values: Any) -> list[Any]:
    """The values in order, each once."""
    result: list[Any] = []
    for value in values:
        if value not in result:
            result.append(value)
    return result
