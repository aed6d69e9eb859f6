"""One clause of a sentence, and the tags that belong to each action."""

from dataclasses import dataclass, field

from netgraft.agent.rules.tokens import Token

BREAKS = ("comma", "stop", "then", "and", "question", "slash")
SPECIFIC = (
    "compare", "retarget", "freeze", "unfreeze", "UNFREEZE_ALL", "setloss", "undo", "train",
    "evaluate", "predict", "export", "cancel", "resume", "status", "frozen",
)  # fmt: skip
SOFT = (
    "show",
    "load",
    "use",
    "list",
    "inspect",
    "want",
    "run",
    "change",
    "changeto",
    "howmany",
    "has",
)
SPLITTING = ("show", "load", "use", "list", "inspect")
REFERENCES = (
    "MODEL",
    "it",
    "them",
    "original",
    "family",
    "nomodel",
    "FROM_TIMM",
    "FROM_TORCHVISION",
)

TRAINING = (
    "DATA", "SAMEDATA", "EPOCHS", "LR", "BATCH_SIZE", "OPTIMIZER", "WORKERS", "DEVICE", "PRECISION",
    "STRATEGY", "IMAGE_SIZE", "SEED", "MAX_MINUTES", "MAX_COST", "AUGMENT", "BALANCE",
    "strategyname",
)  # fmt: skip
SEARCH = ("task", "MAX_PARAMS", "MIN_ACCURACY", "LIMIT", "zoo")
LAYERS = ("head", "backbone", "all", "MODULE", "anything", "rest")

ACCEPTS: dict[str, tuple[str, ...]] = {
    "show": ("MODULE",),
    "compare": (),
    "retarget": ("CLASSES", "CLASS_NAMES"),
    "freeze": LAYERS,
    "unfreeze": LAYERS,
    "set_loss": ("LOSS",),
    "finetune": (*TRAINING, "CLASSES", "CLASS_NAMES", "LOSS"),
    "evaluate": ("DATA", "SAMEDATA"),
    "predict": ("INPUT", "DATA"),
    "export": ("FORMAT",),
    "list_models": SEARCH,
    "list_jobs": ("state",),
    "status": ("JOB",),
    "cancel": ("JOB",),
    "resume": ("JOB", "EPOCHS", "MAX_MINUTES", "MAX_COST"),
    "inspect": (),
    "undo": (),
}
"""Slots that belong to each action."""


@dataclass
class Clause:
    """An action ("" while none is known) and the items that were said with it."""

    action: str
    items: list[Token] = field(default_factory=list)
    negated: bool = False
    link: str = ""
    """ "before" or "after" when the clause says when its neighbour happens."""

    def having(self, *tags: str) -> list[Token]:
        """Items that have one of the tags."""
        return [item for item in self.items if item.has(*tags)]
