"""A model card's part on the training: data, settings, figures, what was found, where it ran."""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from sqlalchemy import select

from netgraft.language import from_plain
from netgraft.models import trained
from netgraft.models.edits.edit import Training
from netgraft.models.export.markdown import code, escaped
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store
from netgraft.store.tables import JobEventRow, JobRow

USES = {
    "fit": "to learn from",
    "held_back": "held back from these, to choose by",
    "held_out": "held out, to measure with",
    "test": "kept apart as a test",
}
FORECASTS = {"start": "forecast at the start", "probed": "forecast after the probe"}
ELSEWHERE = ("model", "options", "data")
"""Settings that the card has in another place."""


def training(recipe: Recipe, store: Store) -> Iterator[str]:
    """The section's paragraphs."""
    found = recipe.training
    if found is None:
        yield "It was not tuned."
        return
    if not recipe.is_tuned:
        yield "It was edited after this training, so the figures are not its own."
    row = _row(found.job, store)
    kept = trained.kept(store, _tuned_id(recipe))
    yield from _figures(dict(found.metrics))
    yield from _data(found, row, kept)
    yield from _settings(found.job, row)
    yield from _found(found.job, store)
    yield from _forecast(row)
    yield from _circumstances(row, kept)


def side(recipe: Recipe, store: Store) -> int | None:
    """The side of the pictures that it was trained with; None where that is not known."""
    if recipe.training is None:
        return None
    if recipe.training.answering:
        return recipe.training.answering.side
    row = _row(recipe.training.job, store)
    return json.loads(row.spec)["spec"].get("image_size") if row else None


def _row(job: str, store: Store) -> JobRow | None:
    """The job's row; None when it is gone."""
    with store.session() as session:
        row = session.get(JobRow, job)
        if row:
            session.expunge(row)
        return row


def _tuned_id(recipe: Recipe) -> str:
    """Id of the model as the training left it."""
    while not recipe.is_tuned:
        recipe = recipe.parent
    return recipe.id


def _figures(metrics: Mapping[str, float]) -> Iterator[str]:
    if not metrics:
        return
    if {"accuracy", "accuracy_low", "accuracy_high", "majority"} <= metrics.keys():
        yield (
            f"Accuracy {metrics['accuracy']:.1%} on held-out pictures, measured once "
            f"(95 % interval {metrics['accuracy_low']:.1%} to {metrics['accuracy_high']:.1%}); "
            f"always naming the largest class would reach {metrics['majority']:.1%}."
        )
    rows = [f"| {escaped(name)} | {value:.6g} |" for name, value in metrics.items()]
    yield "\n".join(("| figure | value |", "|---|---:|", *rows))


def _data(found: Training, row: JobRow | None, kept: trained.Trained | None) -> Iterator[str]:
    facts: dict[str, str] = {}
    if row:
        facts["data"] = _public(json.loads(row.spec)["spec"]["data"])
    if found.answering and found.answering.data_hash:
        facts["SHA-256 of the contents"] = found.answering.data_hash
    for use, number in (kept.sizes if kept else {}).items():
        facts[f"pictures {USES.get(use, use)}"] = f"{number:,}"
    if facts:
        yield "### Data"
        yield _table(("", ""), facts)


def _settings(job: str, row: JobRow | None) -> Iterator[str]:
    resolved: dict[str, Any] = json.loads(row.spec) if row else {}
    spec = resolved.get("spec", {})
    said = {
        name: value
        for name, value in spec.items()
        if name not in ELSEWHERE and value not in ("", None)
    }
    said |= {name: value for name, value in (spec.get("options") or {}).items() if value}
    yield "### Settings"
    yield _table(("setting", "value"), {"job": job, **{n: _shown(v) for n, v in said.items()}})
    lines = [str(from_plain(line)) for line in resolved.get("assumptions", [])]
    if lines:
        yield "Chosen, and why:"
        yield _list(lines)


def _found(job: str, store: Store) -> Iterator[str]:
    """The run's notes: findings about the data, and how it went."""
    query = (
        select(JobEventRow.body)
        .where(JobEventRow.job_id == job, JobEventRow.body.like('%"message": %'))
        .order_by(JobEventRow.seq)
    )
    with store.session() as session:
        bodies = [json.loads(body) for body in session.scalars(query)]
    notes = [str(from_plain(each["message"])) for each in bodies if each["kind"] != "state"]
    if notes:
        yield "### What the run said"
        yield _list(list(dict.fromkeys(notes)))


def _forecast(row: JobRow | None) -> Iterator[str]:
    """Yield what was expected beside what came of it; the row keeps forecasts as plain ranges."""
    made = json.loads(row.forecast) if row and row.forecast else {}
    rows = [
        f"| {name} | {_span(made[key]['seconds'], '{:,.0f} s')} "
        f"| {_span(made[key].get('accuracy'), '{:.1%}')} |"
        for key, name in FORECASTS.items()
        if made.get(key)
    ]
    if row is None or not rows:
        return
    took = f"{row.ended - row.created:,.0f} s" if row.ended else ""
    reached = json.loads(row.metrics).get("accuracy")
    accuracy = "" if reached is None else f"{reached:.1%}"
    yield "### Forecast and outcome"
    head = ("| | time from the request | accuracy |", "|---|---|---|")
    yield "\n".join((*head, *rows, f"| outcome | {took} | {accuracy} |"))


def _span(found: Mapping[str, float] | None, form: str) -> str:
    """A range that holds nine times in ten."""
    return f"{form.format(found['low'])} to {form.format(found['high'])}" if found else ""


def _circumstances(row: JobRow | None, kept: trained.Trained | None) -> Iterator[str]:
    facts: dict[str, str] = {}
    if row and row.started and row.ended:
        facts["time"] = f"{row.ended - row.started:,.0f} s"
    if kept:
        facts |= {"machine": kept.machine, **kept.versions}
    if facts:
        yield "### Where it ran"
        yield _table(("", ""), facts)


def _public(data: str) -> str:
    """A data set's name; of a folder its last part, because the rest is this machine's."""
    return PurePath(data).name if "://" not in data else data


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _table(head: tuple[str, str], rows: Mapping[str, str]) -> str:
    lines = [f"| {escaped(name)} | {escaped(value)} |" for name, value in rows.items()]
    return "\n".join((f"| {head[0]} | {head[1]} |", "|---|---|", *lines))


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {escaped(line)}" for line in lines)


def asking(recipe: Recipe) -> Iterator[str]:
    """Yield how it answers, where that was measured."""
    found = recipe.training.answering if recipe.training else None
    if found is None or not recipe.is_tuned:
        return
    yield (
        f"It answers with logits; its probabilities are softmax(logits / {found.temperature:.6g}), "
        f"and were measured in {code(found.precision)}."
    )
