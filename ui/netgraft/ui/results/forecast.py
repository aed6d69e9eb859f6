"""What was forecast of a job, beside what came of it."""

from html import escape

from netgraft.language import Translator
from netgraft.ui.figures import duration, share
from netgraft.v1 import tuning_pb2


def forecast_and_outcome(job: tuning_pb2.Job, say: Translator) -> str:
    """A table of time, accuracy and cost; "" where nothing was forecast."""
    made = [
        (say("forecast at the start"), job.forecast if job.HasField("forecast") else None),
        (
            say("forecast after the probe"),
            job.probed_forecast if job.HasField("probed_forecast") else None,
        ),
    ]
    rows = [(name, _row(forecast, say)) for name, forecast in made if forecast]
    if not rows:
        return ""
    if any(outcome := _outcome(job, say)):
        rows.append((say("what came of it"), outcome))
    costs = any(cells[-1] for _, cells in rows)  # nothing costs where no prices are set
    names = ("", say("Time"), say("Accuracy"), *([say("Cost")] if costs else []))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in cells[: 3 if costs else 2])}</tr>"
        for name, cells in rows
    )
    because = "".join(f"<li>{escape(line)}</li>" for line in job.forecast.because)
    why = f"<ul>{because}</ul>" if because else ""
    return (
        f'<div class="wide"><table class="forecast"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{why}"
    )


def _row(found: tuning_pb2.Forecast, say: Translator) -> tuple[str, str, str]:
    """The ranges that hold nine times in ten."""
    seconds, reached, cost = found.seconds, found.accuracy, found.cost
    low, high = duration(seconds.low, say), duration(seconds.high, say)
    return (
        say("{low} to {high}", low=low, high=high) if seconds.high else "",
        say("{low} to {high}", low=share(reached.low), high=share(reached.high))
        if reached.high
        else "",
        say("{low} to {high}", low=f"{cost.low:.2g}", high=f"{cost.high:.2g} {found.currency}")
        if cost.high
        else "",
    )


def _outcome(job: tuning_pb2.Job, say: Translator) -> tuple[str, str, str]:
    took = ""
    if job.state == tuning_pb2.JOB_STATE_SUCCEEDED and job.HasField("end_time"):
        took = duration(job.end_time.ToSeconds() - job.create_time.ToSeconds(), say)
    reached = job.metrics.get("accuracy", None)
    return took, "" if reached is None else share(reached), ""
