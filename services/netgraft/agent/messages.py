"""The texts shown while a plan runs: titles and summaries, in the reader's language."""

from collections.abc import Mapping, Sequence
from typing import Any

from netgraft.language import Translator, in_context, mark, plural
from netgraft.v1 import agent_pb2, graph_pb2, models_pb2, surgery_pb2, tuning_pb2

_TITLES: dict[str, str] = {
    "show": mark("Draw {model}"),
    "compare": mark("Compare {a} with {b}"),
    "retarget": plural("Retarget {model} to {count} class", "Retarget {model} to {count} classes"),
    "freeze": mark("Freeze {layers} of {model}"),
    "unfreeze": mark("Unfreeze {layers} of {model}"),
    "set_loss": mark("Set the loss of {model} to {loss}"),
    "undo": mark("Undo the last edit of {model}"),
    "finetune": mark("Fine-tune {model} on {data}"),
    "forecast": mark("Forecast the training of {model} on {data}"),
    "evaluate": mark("Evaluate {model} on {data}"),
    "predict": mark("Predict {input} with {model}"),
    "export": mark("Export {model} as {format}"),
    "list_models": mark("Search the model zoo"),
    "inspect": mark("Inspect {model}"),
    "status": mark("Look at {job}"),
    "cancel": mark("Cancel {job}"),
    "resume": mark("Resume {job}"),
    "list_jobs": mark("List the tuning jobs"),
}

_STATES: dict[int, str] = {
    tuning_pb2.JOB_STATE_QUEUED: mark("queued"),
    tuning_pb2.JOB_STATE_PREPARING: mark("preparing"),
    tuning_pb2.JOB_STATE_RUNNING: mark("running"),
    tuning_pb2.JOB_STATE_SUCCEEDED: mark("succeeded"),
    tuning_pb2.JOB_STATE_FAILED: mark("failed"),
    tuning_pb2.JOB_STATE_CANCELLED: mark("cancelled"),
    tuning_pb2.JOB_STATE_PAUSED: mark("paused"),
}

_UNKNOWN = mark("unknown")

SHORT = 12
"""Digits of a model id that are shown to people."""
MOST_MODELS = 10
"""Models that the summary of a search names."""


class Messages:
    """Titles and summaries of a plan's steps in one language."""

    def __init__(self, language: str) -> None:
        self.say = Translator(language)

    def title(self, action: str, fields: Mapping[str, Any]) -> str:
        """One line for a step that begins."""
        named = {key: self._name(str(fields.get(key, ""))) for key in ("model", "a", "b")}
        return self.say(
            _TITLES[action],
            **named,
            layers=", ".join(fields.get("layers", ())),
            loss=fields.get("loss", ""),
            data=fields.get("data", ""),
            input=fields.get("input", ""),
            format=fields.get("format", ""),
            count=fields.get("classes") or len(fields.get("class_names", ())),
            job=fields.get("job") or self.say(in_context("in a title", "the job")),
        )

    def _name(self, reference: str) -> str:
        if not reference or reference.startswith("$"):
            return self.say(in_context("in a title", "the model"))
        return reference

    def drawn(self, graph: graph_pb2.Graph) -> str:
        return self.say(
            plural(
                "{title}: {count} box at the top level, {parameters:,} parameters "
                "({trainable:,} train).",
                "{title}: {count} boxes at the top level, {parameters:,} parameters "
                "({trainable:,} train).",
            ),
            title=graph.title,
            count=graph.top_level_nodes,
            parameters=graph.parameters,
            trainable=graph.trainable_parameters,
        )

    def compared(self, diff: graph_pb2.GraphDiff) -> str:
        if not diff.differences:
            return self.say("The two models are alike.")
        return self.say(
            plural(
                "{count} module differs; {a:,} parameters against {b:,}.",
                "{count} modules differ; {a:,} parameters against {b:,}.",
            ),
            count=len(diff.differences),
            a=diff.a_parameters,
            b=diff.b_parameters,
        )

    def edited(self, reply: surgery_pb2.EditReply) -> str:
        return self.say(
            "{summary} · parameters {before:,} → {after:,} · trainable {train_before:,} → "
            "{train_after:,} · model {id}",
            summary=reply.summary or reply.model.title,
            before=reply.parameters_before,
            after=reply.parameters_after,
            train_before=reply.trainable_before,
            train_after=reply.trainable_after,
            id=reply.model.id[:SHORT],
        )

    def tuned(self, job: tuning_pb2.Job) -> str:
        made = job.result_model[:SHORT]
        if "accuracy" not in job.metrics:
            return self.say("Training finished. New model {id}.", id=made)
        return self.say(
            "Training finished: accuracy {accuracy:.1f} % on held-out examples. New model {id}.",
            accuracy=100 * job.metrics["accuracy"],
            id=made,
        )

    def stopped(self, job: tuning_pb2.Job) -> str:
        return self.say(
            "Job {id} was cancelled. “resume” goes on from its last checkpoint.", id=job.id
        )

    def job(self, job: tuning_pb2.Job) -> str:
        line = f"{job.id}: {self.say(_STATES.get(job.state, _UNKNOWN))}"
        event = job.last_event
        if event.total_steps:
            line = self.say(
                "{line}, step {step} of {total}",
                line=line,
                step=event.step,
                total=event.total_steps,
            )
        if "accuracy" in job.metrics:
            line = self.say(
                "{line}, accuracy {accuracy:.1f} %",
                line=line,
                accuracy=100 * job.metrics["accuracy"],
            )
        return f"{line} · {job.error_message}" if job.error_message else line

    def jobs(self, jobs: Sequence[tuning_pb2.Job]) -> str:
        if not jobs:
            return self.say("There are no such jobs.")
        return "\n".join(self.job(job) for job in jobs)

    def found(self, reply: models_pb2.ListModelsReply) -> str:
        if not reply.total:
            return self.say("No model matches.")
        shown = reply.entries[:MOST_MODELS]
        names = ", ".join(f"{e.name} ({e.title})" if e.title else e.name for e in shown)
        return self.say(
            plural("{count} model: {names}{more}", "{count} models: {names}{more}"),
            count=reply.total,
            names=names,
            more="…" if reply.total > MOST_MODELS else "",
        )

    def inspected(self, found: surgery_pb2.Inspection) -> str:
        heads = "; ".join(
            f"{h.path}: {h.type}({h.in_features} → {h.out_features})" for h in found.heads
        )
        return self.say(
            "{title}: {parameters:,} parameters ({trainable:,} train), {flops:.2f} GFLOPs, "
            "input {shape}, head {heads}.",
            title=found.model.title,
            parameters=found.parameters,
            trainable=found.trainable_parameters,
            flops=found.flops / 1e9,
            shape="×".join(map(str, found.input_shape)),
            heads=heads or "-",
        )

    def evaluated(self, found: tuning_pb2.Evaluation) -> str:
        sentence = self.say(
            plural(
                "Accuracy {accuracy:.1f} % on {count} picture of {data} (95 % interval {low:.1f} "
                "to {high:.1f} %); always naming the largest class would reach {majority:.1f} %.",
                "Accuracy {accuracy:.1f} % on {count} pictures of {data} (95 % interval {low:.1f} "
                "to {high:.1f} %); always naming the largest class would reach {majority:.1f} %.",
            ),
            accuracy=100 * found.accuracy,
            count=found.pictures,
            data=found.data,
            low=100 * found.accuracy_low,
            high=100 * found.accuracy_high,
            majority=100 * found.majority,
        )
        if not found.leaked:
            return sentence
        return self.say(
            plural(
                "{sentence} It was trained on a copy of {count} of them; without it the accuracy "
                "is {accuracy:.1f} %.",
                "{sentence} It was trained on copies of {count} of them; without these the "
                "accuracy is {accuracy:.1f} %.",
            ),
            sentence=sentence,
            count=found.leaked,
            accuracy=100 * found.accuracy_without_leaks,
        )

    def forecast(self, found: tuning_pb2.ForecastReply) -> str:
        return "\n".join([found.forecast.summary, *found.forecast.because])

    def predicted(self, found: agent_pb2.Predictions) -> str:
        first = found.pictures[0]
        if found.total == 1 and first.error:
            return first.error
        if found.total == 1:
            return self.say(
                "{name}: {label} ({share:.1f} %).",
                name=first.name,
                label=first.classes[0].name,
                share=100 * first.classes[0].probability,
            )
        line = self.say(
            plural("{count} picture was predicted.", "{count} pictures were predicted."),
            count=found.total - found.unreadable,
        )
        if not found.unreadable:
            return line
        lost = plural("{count} could not be read.", "{count} could not be read.")
        return f"{line} {self.say(lost, count=found.unreadable)}"

    def exported(self, ready: agent_pb2.ExportReady) -> str:
        return self.say(
            "{format} of model {id} is ready.", format=ready.format, id=ready.model_id[:SHORT]
        )
