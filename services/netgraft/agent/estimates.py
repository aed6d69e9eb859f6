"""What the trainings of a plan are expected to take: a sentence for each, from earlier runs.

It stands on the plan's card before anybody consents. Where there is no answer in time, such as
about data that are not there, nothing is said: the step itself says what is wrong.
"""

from collections.abc import Callable, Sequence

from netgraft.agent.steps import Finetune, Step, Steps
from netgraft.client import Client
from netgraft.errors import NetgraftError
from netgraft.serving.servicers import caller
from netgraft.v1 import tuning_pb2

SECONDS = 3.0
"""How long a plan waits for what is expected of its trainings, each."""
Estimate = Callable[[Steps, str], tuple[str, ...]]
"""Gives the sentences about a plan, and about the model that is current before it."""


def no_estimate(steps: Steps, current: str) -> tuple[str, ...]:
    """Say nothing: in a process of one's own, where nothing is to slow a plan down."""
    return ()


def by_earlier_runs(steps: Steps, current: str) -> tuple[str, ...]:
    """Ask the tuning service of the server that settings name, in the caller's name."""
    trainings = [(step, _base_of(steps, step.model, current)) for step in steps
                 if isinstance(step, Finetune)]  # fmt: skip
    if not trainings:
        return ()
    who = caller()
    with Client("", who.token, who.language) as client:
        said = [_of(client, step, model) for step, model in trainings if model]
    return tuple(line for line in said if line)


def _of(client: Client, step: Finetune, model: str) -> str:
    spec = tuning_pb2.TuningSpec(**{**step.said(), "model": model})  # type: ignore[arg-type]
    request = tuning_pb2.ForecastRequest(spec=spec, quick=True)
    try:
        found = [reply.forecast.summary for reply in client.tuning.Forecast(request, SECONDS)]
    except NetgraftError:
        return ""
    return found[-1] if found else ""


def _base_of(steps: Sequence[Step], reference: str | None, current: str) -> str:
    """The model that exists already and that a step's own is made from."""
    while reference and reference.startswith("$"):
        reference = getattr(steps[int(reference[1:]) - 1], "model", None)
    return reference or current
