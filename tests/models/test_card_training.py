"""The card's part on a training, from what the job's row keeps."""

import json
from pathlib import Path

from netgraft.models.edits.tuned import Tuned
from netgraft.models.export import card_training
from netgraft.models.recipe import Base, Recipe
from netgraft.store.store import Store
from netgraft.store.tables import JobEventRow, JobRow

HOSTILE = "</td>| `x` <b>"


def test_forecasts_stand_beside_the_outcome_and_what_others_named_stays_text(
    tmp_path: Path,
) -> None:
    store = Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'test.db'}")
    spec = {"data": f"/srv/secret/{HOSTILE}", "epochs": 2, "precision": "", "options": {}}
    ranges = {"low": 0.4, "middle": 0.5, "high": 0.7}
    forecast = {"start": {"seconds": {"low": 50, "middle": 60, "high": 130}, "accuracy": ranges}}
    note = {"kind": "note", "message": HOSTILE}
    row = JobRow(
        id="job",
        state="succeeded",
        spec=json.dumps({"spec": spec, "assumptions": [HOSTILE]}),
        created=1000.0,
        started=1001.0,
        ended=1070.0,
        metrics=json.dumps({"accuracy": 0.5}),
        forecast=json.dumps(forecast),
    )
    with store.session() as session:
        session.add(row)
        session.flush()
        session.add(JobEventRow(job_id="job", seq=1, body=json.dumps(note), created=1.0))
    recipe = Recipe(Base("torchvision", "resnet18", None)).with_edit(Tuned("job", "t" * 64))
    text = "\n".join(card_training.training(recipe, store))
    assert "| forecast at the start | 50 s to 130 s | 40.0% to 70.0% |" in text
    assert "| outcome | 70 s | 50.0% |" in text
    assert "| epochs | 2 |" in text
    assert "precision" not in text
    assert "secret" not in text
    assert HOSTILE not in text
    assert text.count(r"\| \`x\` \<b\>") == 3
