"""forecast, and jobs --forecasts: what is expected, and what came, in words and as JSON."""

import json
from collections.abc import Callable
from typing import Any

from netgraft.cli.commands.forecast import forecast_command
from netgraft.cli.commands.tune import finetune_command
from netgraft.store.store import default_store
from netgraft.tuning.forecast.forecast import START, Forecast
from netgraft.tuning.forecast.history import keep_forecast
from netgraft.tuning.forecast.ranges import Range
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.spec import ResolvedSpec, Spec

from .conftest import Run

SPEC = Spec(
    model="0" * 64, data="digits", epochs=2, lr=0.001, batch_size=32, optimizer="adamw",
    loss="cross_entropy", workers=1, device="cpu", precision="fp32", strategy="full",
    image_size=48, seed=0,
)  # fmt: skip
EXPECTED = Forecast(Range(60.0, 90.0, 150.0), Range(2, 2, 2), Range(0.8, 0.9, 0.95))


def test_forecast_takes_the_options_of_finetune() -> None:
    other = {"detach"}
    names = {each.name for each in finetune_command.params} - other
    assert names | {"quick"} == {each.name for each in forecast_command.params}


def test_a_quick_forecast_in_words_and_as_json(run: Run, reply: Callable[..., Any]) -> None:
    edited = reply("retarget", "timm/test_resnet", "--weights", "none", "--classes", "10")
    words = (edited["model"]["id"], "--data", "digits", "--image-size", "32")
    found = reply("forecast", *words, "--quick")
    low, middle, high = (found["forecast"]["seconds"][name] for name in ("low", "middle", "high"))
    assert 0 < low < middle < high
    assert found["spec"]["strategy"] == "full" and "cost" not in found["forecast"]
    shown = run("forecast", *words, "--quick", "--language", "zh").stdout
    assert "准确率" in shown and "本机尚无训练记录" in shown and "rests on" not in shown


def test_jobs_show_what_was_expected_beside_what_came(run: Run) -> None:
    jobs = Jobs(default_store())
    job = jobs.create(ResolvedSpec(SPEC)).id
    keep_forecast(default_store(), job, {START: EXPECTED.plain()})
    jobs.begin(job)
    jobs.succeed(job, 1, "1" * 64, {"accuracy": 0.875})
    older = jobs.create(ResolvedSpec(SPEC)).id
    lines = run("jobs", "--forecasts").stdout
    assert "1:30 (1:00 to 2:30)" in " ".join(lines.split())
    assert "87.5 %" in lines and older[:12] in lines
    every = json.loads(run("jobs", "--json").stdout)["jobs"]
    (found,) = [each for each in every if each["id"] == job]
    assert found["forecast"]["accuracy"]["middle"] == 0.9
