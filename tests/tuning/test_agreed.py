"""A job reads its data as was said, and trains on no others than were agreed upon."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.tuning.data.trees import numbered, plant

from netgraft.errors import InvalidData, InvalidValue
from netgraft.language import say
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.data.kept import kept, kept_or_read
from netgraft.tuning.data.manifest import Options
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request, ResolvedSpec
from netgraft.tuning.servicer import request_of, spec_message
from netgraft.v1 import surgery_pb2


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Forty pictures in two nested classes."""
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(tmp_path))
    settings.cache_clear()
    names = ("small/cat", "small/mouse", "large/dog", "large/cow")
    plant(tmp_path / "pets", [path for name in names for path in numbered(name, 10)])
    yield tmp_path / "pets"
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def request_for(store: Store) -> Request:
    edit = surgery_pb2.RetargetModelRequest(model="timm/test_resnet@none", classes=4)
    model = SurgeryServicer(store).RetargetModel(edit).model.id
    said = Options(columns="label=2", val_share=0.3)
    return Request(model, "pets", epochs=1, batch_size=8, workers=1, options=said)


def planned(request: Request, store: Store) -> ResolvedSpec:
    return planning.plan(request, Capacity(2, 0), store)


def test_what_is_said_of_the_data_is_part_of_the_spec(
    pets: Path, store: Store, request_for: Request
) -> None:
    resolved = planned(request_for, store)
    assert ResolvedSpec.from_json(resolved.to_json()) == resolved
    asked_again = request_of(spec_message(resolved.spec))
    assert asked_again.options == request_for.options
    assert planned(asked_again, store).spec == resolved.spec
    manifest = kept(resolved.spec.fingerprint, store)
    assert manifest is not None
    assert manifest.class_names == ("cat", "cow", "dog", "mouse")
    assert manifest.size("held_out") == 12


def test_guesses_are_stated_with_the_job_in_both_languages(
    pets: Path, store: Store, request_for: Request
) -> None:
    stored = ResolvedSpec.from_json(planned(request_for, store).to_json())
    line = next(line for line in stored.assumptions if "--val-share" in line)
    assert line.startswith("12 pictures")
    assert "图片" in say(line, "zh")


def test_options_that_do_not_fit_are_refused_at_once(
    pets: Path, store: Store, request_for: Request
) -> None:
    for options in (Options(columns="label=9"), Options(val_share=0.9), Options(kind="table")):
        with pytest.raises((InvalidValue, InvalidData)):
            planned(replace(request_for, options=options), store)


def test_a_spec_is_refused_for_data_that_have_changed(
    pets: Path, store: Store, request_for: Request
) -> None:
    spec = planned(request_for, store).spec
    later = time.time() + 5
    os.utime(pets / "small" / "cat" / "3.jpg", (later, later))
    with pytest.raises(InvalidData, match="changed since it was agreed upon"):
        planned(request_of(spec_message(spec)), store)
    with pytest.raises(InvalidData, match=r"small/cat/3\.jpg has changed"):
        kept_or_read(spec.fingerprint, spec.data, spec.options, store)


def test_pictures_that_arrive_later_change_nothing_in_a_job_that_goes_on(
    pets: Path, store: Store, request_for: Request
) -> None:
    spec = planned(request_for, store).spec
    plant(pets, numbered("small/cat", 5, start=50))
    again = kept_or_read(spec.fingerprint, spec.data, spec.options, store)
    assert len(again.names) == 40
