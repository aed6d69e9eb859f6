"""The names of values and figures: in English the same as in the protocol."""

from netgraft.cli.terminal.language import tr
from netgraft.language import in_context, mark

FIELDS = {
    "model": mark("model"),
    "focus": mark("focus"),
    "a": mark("a"),
    "b": mark("b"),
    "classes": in_context("how many", "classes"),
    "class_names": mark("class_names"),
    "layers": mark("layers"),
    "loss": in_context("function", "loss"),
    "data": mark("data"),
    "split": mark("split"),
    "epochs": mark("epochs"),
    "lr": mark("lr"),
    "batch_size": mark("batch_size"),
    "optimizer": mark("optimizer"),
    "workers": mark("workers"),
    "device": mark("device"),
    "precision": mark("precision"),
    "strategy": mark("strategy"),
    "image_size": mark("image_size"),
    "seed": mark("seed"),
    "options": mark("options"),
    "skip_bad": mark("skip_bad"),
    "augment": mark("augment"),
    "mirror": mark("mirror"),
    "mixup": mark("mixup"),
    "label_smoothing": mark("label_smoothing"),
    "balance": mark("balance"),
    "layout": mark("layout"),
    "threads": mark("threads"),
    "accumulate": mark("accumulate"),
    "patience": mark("patience"),
    "features": mark("features"),
    "max_minutes": mark("max_minutes"),
    "max_cost": mark("max_cost"),
    "fingerprint": mark("fingerprint"),
    "kind": mark("kind"),
    "columns": mark("columns"),
    "val_share": mark("val_share"),
    "group": mark("group"),
    "input": mark("input"),
    "format": mark("format"),
    "query": mark("query"),
    "task": mark("task"),
    "max_params": mark("max_params"),
    "min_accuracy": mark("min_accuracy"),
    "limit": mark("limit"),
    "job": mark("job"),
    "state": mark("state"),
}
"""Names of the values of steps and jobs, by their fields in the protos."""

FIGURES = {
    "accuracy": mark("accuracy"),
    "accuracy_low": mark("at least (95 %)"),
    "accuracy_high": mark("at most (95 %)"),
    "accuracy_without_leaks": mark("accuracy without the leaked pictures"),
    "accuracy_without_leaks_low": mark("at least without them (95 %)"),
    "accuracy_without_leaks_high": mark("at most without them (95 %)"),
    "balanced_accuracy": mark("balanced accuracy"),
    "held_back_accuracy": mark("accuracy on held-back training pictures"),
    "held_back_loss": mark("loss on held-back training pictures"),
    "leaked": mark("share of held-out pictures that are trained on, too"),
    "loss": mark("loss"),
    "macro_f1": mark("macro F1"),
    "majority": mark("share of the largest class"),
}
"""Names of what training measures."""


def field_name(field: str) -> str:
    """Return the name of a field of a step or a job."""
    return tr(FIELDS.get(field, field))


def figure_name(name: str) -> str:
    """Return the name of a metric; a task's own metric keeps its name."""
    return tr(FIGURES.get(name, name))
