"""Clauses → steps: slots become fields, models become names or "$N", gaps become questions."""

from collections.abc import Sequence
from typing import Any

from netgraft.agent.rules.accounting import GLUE, account, not_understood
from netgraft.agent.rules.clause import LAYERS, REFERENCES, TRAINING, Clause
from netgraft.agent.rules.names import ModelNames
from netgraft.agent.rules.reply import PRODUCES_MODEL, Ask, Fields, Steps, action_of
from netgraft.agent.rules.tokens import Token

_WHOLE = ("EPOCHS", "BATCH_SIZE", "WORKERS", "IMAGE_SIZE", "SEED", "CLASSES", "MAX_PARAMS", "LIMIT")


class Assembler:
    """Builds the steps of one plan and keeps track of what "it" is."""

    def __init__(self, names: ModelNames) -> None:
        self.names = names
        self.steps: list[dict[str, Fields]] = []
        self.file_names: list[str] = []
        """Names that were asked for an export; the download is named by the service."""
        self.latest: str | None = None
        """The model that "it" means by now; None: the conversation's current one."""
        self.mentioned: list[str] = []
        self._made: dict[str, str] = {}
        """Catalogue name → "$N" of the latest step that edited it."""
        self._root: str | None = None
        self._data: str | None = None

    def root_before(self, names: Sequence[str]) -> None:
        """What "the original" is before a step names a model: the only one of the last plan."""
        self._root = names[0] if len(names) == 1 else None

    def build(self, found: Sequence[Clause]) -> Steps:
        """The steps of all clauses. Raises Ask."""
        for clause in found:
            self._clause(clause)
        _check_training(self.steps)
        return tuple(self.steps)

    def _clause(self, clause: Clause) -> None:
        if not clause.action:
            self._nothing_asked(clause)
        account(clause)
        if clause.negated:
            if clause.action == "freeze":
                clause.action = "unfreeze"
            elif clause.action not in ("retarget", "finetune", "unfreeze") or not _says_more(
                clause
            ):
                return
        getattr(self, f"_{clause.action}")(clause)

    def _nothing_asked(self, clause: Clause) -> None:
        for item in clause.items:
            if item.has("unk", "if", "or"):
                raise not_understood(item)
        models = clause.having(*REFERENCES)
        if models:
            word = self._model_name(models[0]) or models[0].text
            examples = (f"show {word}", f"inspect {word}") if models[0].has("MODEL") else ()
            raise Ask("verb", {"word": word}, examples, "verb", clause.items[-1])
        if all(item.has("correct", "actually", "instead") for item in clause.items):
            raise Ask("correct_what")
        content = [item for item in clause.items if not item.has(*GLUE) or len(clause.items) == 1]
        if not content:
            raise Ask("empty")
        raise Ask("verb", {"word": content[0].text}, (), "verb", clause.items[-1])

    # Which model

    def _model_name(self, item: Token) -> str:
        """The name that an item says. Raises Ask when it is not settled which."""
        if item.has("family"):
            raise Ask("model", {"word": item.text}, item.value, "model", item, replaces=True)
        if item.has("nomodel"):
            raise Ask(
                "unknown_model", {"word": item.text}, item.value, "model", item, replaces=True
            )
        if item.has("FROM_TIMM"):
            name = self.names.from_timm(item.value)
            if not name:
                options = self.names.nearest(item.value)
                raise Ask(
                    "unknown_model", {"word": item.text}, options, "model", item, replaces=True
                )
            return name
        return str(item.value) if item.has("MODEL", "FROM_TORCHVISION") else ""

    def _reference(self, item: Token) -> str | None:
        """What to write for a model that an item means; None: the current model."""
        if item.has("original"):
            return self._root
        name = self._model_name(item)
        if name:
            if name not in self.mentioned:
                self.mentioned.append(name)
            return self._made.get(name, name)
        return self.latest

    def _models(self, clause: Clause) -> list[str | None]:
        items = clause.having(*REFERENCES)
        named = [item for item in items if not item.has("it", "them")]
        references = [self._reference(item) for item in named or items[:1]]
        if clause.having("them") and not named and len(self.mentioned) > 1:
            references = [self._made.get(name, name) for name in self.mentioned]
        unique: list[str | None] = []
        for reference in references or [self.latest]:
            if reference not in unique:
                unique.append(reference)
        return unique

    def _add(self, action: str, model: str | None, **fields: Any) -> None:
        step = {"model": model, **fields}
        if model is not None and not model.startswith("$"):
            self._root = model
        self.steps.append({action: {k: v for k, v in step.items() if v not in (None, ())}})
        if action in PRODUCES_MODEL:
            made = f"${len(self.steps)}"
            for name, reference in [*self._made.items(), (model, model)]:
                if reference == model and name is not None and not name.startswith("$"):
                    self._made[name] = made
            self.latest = made
        elif model is not None:
            self.latest = model

    def _each(self, clause: Clause, action: str, **fields: Any) -> None:
        for model in self._models(clause):
            self._add(action, model, **fields)

    # One method per action

    def _show(self, clause: Clause) -> None:
        modules = [item.value for item in clause.having("MODULE")]
        for model in self._models(clause):
            for module in modules or [None]:
                self._add("show", model, focus=module)

    def _use(self, clause: Clause) -> None:
        models = clause.having("MODEL")
        raise Ask(
            "verb",
            {"word": models[0].value if models else clause.items[0].text},
            (),
            "verb",
            clause.items[-1],
        )

    def _compare(self, clause: Clause) -> None:
        items = clause.having(*REFERENCES)
        if clause.having("original") and self._root is None:
            raise Ask("other_model", {}, (), "model", clause.items[-1])
        references = [self._reference(item) for item in items if not item.has("them")]
        if clause.having("them", "both") or (not items and len(self.mentioned) > 1):
            references = [self._made.get(name, name) for name in self.mentioned[-2:]]
        if not references:
            raise Ask("other_model", {}, (), "model", clause.items[-1])
        if len(references) == 1:
            if items and items[0].has("it"):
                raise Ask("other_model", {}, (), "model", clause.items[-1])
            references = [self.latest if self.latest != references[0] else None, *references]
        if len(references) > 2:
            first = references[0]
            pairs = [(first, other) for other in references[1:]]
        else:
            pairs = [(references[0], references[1])]
        for a, b in pairs:
            swapped = len(items) == 2 and items[-1].has("it")
            fields = {"a": b, "b": a} if swapped else {"a": a, "b": b}
            self.steps.append({"compare": {k: v for k, v in fields.items() if v is not None}})

    def _retarget(self, clause: Clause) -> None:
        self._each(clause, "retarget", **_classes(clause))

    def _freeze(self, clause: Clause) -> None:
        self._layers(clause, "freeze", "unfreeze")

    def _unfreeze(self, clause: Clause) -> None:
        self._layers(clause, "unfreeze", "freeze")

    def _layers(self, clause: Clause, action: str, opposite: str) -> None:
        excepted = clause.having("except")
        named = [item for item in clause.items if item.has(*LAYERS)]
        if clause.having("excepthead"):
            if action == "freeze":
                self._each(clause, "freeze", layers=["backbone"])
            else:
                self._each(clause, "unfreeze", layers=["all"])
                self._add("freeze", self.latest, layers=["head"])
            return
        if clause.having("UNFREEZE_ALL"):
            self._each(clause, action, layers=["all"])
            return
        if not excepted:
            layers = _unique(self._layer(item) for item in named)
            # "all layers of the backbone", 把主干全部解冻: a word of quantity beside a name
            layers = [layer for layer in layers if layer != "all"] or layers
            if not layers:
                raise Ask("layers", {}, ("backbone", "head", "all"), "layers", clause.items[-1])
            self._each(clause, action, layers=layers)
            return
        said = [item for item in named if item.start < excepted[0].start]
        if said and not any(item.has("all", "anything") for item in named):
            # "layer1 but not layer2": what is excepted was never meant
            self._each(clause, action, layers=_unique(self._layer(item) for item in said))
            return
        kept = _unique(
            self._layer(item) for item in named if item.tag != "all" and not item.has("all")
        )
        if not kept:
            raise Ask("layers", {}, ("backbone", "head"), "layers", clause.items[-1])
        if kept == ["head"] and action == "freeze":
            self._each(clause, action, layers=["backbone"])
            return
        self._each(clause, action, layers=["all"])
        self._add(opposite, self.latest, layers=kept)

    def _layer(self, item: Token) -> str:
        if item.has("rest"):
            # the rest is what remains beside the head, when the head was spoken of
            last = self.steps[-1] if self.steps else {}
            if "retarget" in last or "head" in last.get("unfreeze", {}).get("layers", ()):
                return "backbone"
            raise Ask("layers", {}, ("backbone", "head", "all"), "layers", item, replaces=True)
        return _layer(item)

    def _set_loss(self, clause: Clause) -> None:
        loss = _slot(clause, "LOSS")
        if loss is None:
            raise Ask(
                "loss", {}, ("cross_entropy", "label_smoothing", "focal"), "loss", clause.items[-1]
            )
        self._each(clause, "set_loss", loss=loss)

    def _undo(self, clause: Clause) -> None:
        for _ in range(min(_times(clause), 50)):
            self._each(clause, "undo")

    def _finetune(self, clause: Clause) -> None:
        fields = {tag.lower(): _slot(clause, tag) for tag in TRAINING if tag.isupper()}
        fields["loss"] = _slot(clause, "LOSS")
        fields["data"] = self._data_of(clause)
        if clause.having("strategyname") and fields["strategy"] is None:
            fields["strategy"] = clause.having("strategyname")[-1].reading("strategyname")
        if (
            clause.having("head", "headinfo")
            and fields["strategy"] is None
            and not clause.having("CLASSES", "CLASS_NAMES")
        ):
            fields["strategy"] = "probe"
        if clause.having("all") and fields["strategy"] is None:
            fields["strategy"] = "full"
        if clause.having("all") and _all_frozen(self.steps, self._models(clause)):
            raise Ask("contradiction", {}, ("head", "all"))
        if fields["data"] is None:
            raise Ask("data", {}, ("digits",), "data", clause.items[-1])
        self._data = fields["data"]
        retargets = clause.having("CLASSES", "CLASS_NAMES")
        for named in self._models(clause):
            if retargets:
                self._add("retarget", named, **_classes(clause))
            model = self.latest if retargets else named
            order = ("data", "epochs", "lr", "batch_size", "optimizer", "loss", "workers", "device",
                     "precision", "strategy", "image_size", "seed")  # fmt: skip
            self._add("finetune", model, **{name: fields[name] for name in order})

    def _data_of(self, clause: Clause) -> str | None:
        said: str | None = _slot(clause, "DATA")
        if said is None and clause.having("SAMEDATA"):
            return self._data
        return said

    def _evaluate(self, clause: Clause) -> None:
        data = self._data_of(clause) or self._data
        if data is None:
            raise Ask("data", {}, ("digits",), "data", clause.items[-1])
        self._each(clause, "evaluate", data=data)

    def _predict(self, clause: Clause) -> None:
        picture = _slot(clause, "INPUT") or _slot(clause, "DATA")
        if picture is None:
            raise Ask("input", {}, (), "input", clause.items[-1])
        self._each(clause, "predict", input=picture)

    def _export(self, clause: Clause) -> None:
        formats = _unique(item.value for item in clause.having("FORMAT"))
        for item in clause.having("DATA", "INPUT"):
            formats = formats or [_format_of(str(item.value))]
            self.file_names.append(str(item.value))
        if not formats:
            raise Ask("format", {}, ("onnx", "pt2", "safetensors"), "format", clause.items[-1])
        for model in self._models(clause):
            for form in formats:
                self._add("export", model, format=form)

    def _list_models(self, clause: Clause) -> None:
        words = [
            i.text.lower().rstrip("s") if i.has("family") else i.text.lower()
            for i in clause.having("family", "MODEL", "nomodel")
        ]
        words += [
            item.reading("source")
            for item in clause.having("source")
            if item.reading("source") == "timm"
        ]
        fields: Fields = {
            "query": " ".join(words) or None,
            "task": clause.having("task")[0].reading("task") if clause.having("task") else None,
            "max_params": _slot(clause, "MAX_PARAMS"),
            "min_accuracy": _slot(clause, "MIN_ACCURACY"),
            "limit": _slot(clause, "LIMIT"),
        }
        self.steps.append({"list_models": {k: v for k, v in fields.items() if v is not None}})

    def _list_jobs(self, clause: Clause) -> None:
        states = [item.reading("state") for item in clause.having("state")]
        self.steps.append({"list_jobs": {"state": states[0]} if states else {}})

    def _inspect(self, clause: Clause) -> None:
        self._each(clause, "inspect")

    def _status(self, clause: Clause) -> None:
        self._job(clause, "status")

    def _cancel(self, clause: Clause) -> None:
        self._job(clause, "cancel")

    def _resume(self, clause: Clause) -> None:
        self._job(clause, "resume")

    def _job(self, clause: Clause, action: str) -> None:
        job = _slot(clause, "JOB")
        self.steps.append({action: {} if job is None else {"job": job}})


def _says_more(clause: Clause) -> bool:
    return any(item.tag.isupper() for item in clause.items) and not clause.items[0].has("not")


def _slot(clause: Clause, tag: str) -> Any:
    """The value of a slot; None when it was not said. Raises Ask on two different values."""
    values = _unique(item.value for item in clause.having(tag))
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


def _classes(clause: Clause) -> Fields:
    count, names = _slot(clause, "CLASSES"), _slot(clause, "CLASS_NAMES")
    if count is None and names is None:
        raise Ask("classes", {}, ("2", "10", "100"), "classes", clause.items[-1])
    if count is not None and names is not None and count != len(names):
        raise Ask("counts", {"count": count, "named": len(names)}, (), "classes")
    return {"classes": count, "class_names": list(names) if names else None}


def _layer(item: Token) -> str:
    if item.has("MODULE"):
        return str(item.value)
    if item.has("anything"):
        return "all"
    return next(tag for tag in ("backbone", "head", "all") if item.has(tag))


def _format_of(path: str) -> str:
    suffix = path.rsplit(".", 1)[-1].lower()
    known = {"onnx": "onnx", "pt2": "pt2", "safetensors": "safetensors", "svg": "svg", "png": "png",
             "py": "python"}  # fmt: skip
    if suffix in known:
        return known[suffix]
    raise Ask("format", {}, ("onnx", "pt2", "safetensors"))


def _times(clause: Clause) -> int:
    """How often to undo: "twice", "the last three edits"."""
    for item in clause.having("times"):
        said = item.reading("times")
        return min(int(said or item.value), 50)
    return 1


def _unique(values: Any) -> list[Any]:
    result: list[Any] = []
    for value in values:
        if value not in result:
            result.append(value)
    return result


def _all_frozen(steps: Sequence[dict[str, Fields]], models: Sequence[str | None]) -> bool:
    last = steps[-1] if steps else {}
    return last.get("freeze", {}).get("layers") == ["all"] and models == [f"${len(steps)}"]


def _check_training(steps: Sequence[dict[str, Fields]]) -> None:
    """Freezing everything and then training contradicts itself. Raises Ask."""
    frozen: set[str] = set()
    for number, step in enumerate(steps, 1):
        action = action_of(step)
        fields = step[action]
        if action == "freeze" and fields.get("layers") == ["all"]:
            frozen.add(f"${number}")
        elif action in ("finetune", "unfreeze") and fields.get("model") in frozen:
            following_freeze = action == "unfreeze" and fields.get("layers") != ["all"]
            if not following_freeze:
                raise Ask("contradiction", {}, ("head", "all"))
