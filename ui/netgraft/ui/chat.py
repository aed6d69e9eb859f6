"""Turn a conversation into Gradio's chat messages: everything that was said and done.

Text that comes from elsewhere (names of files, classes, models) is never read as
Markdown or HTML.
"""

import re
from collections.abc import Iterator

import gradio as gr
from gradio import ChatMessage
from gradio.components.chatbot import MetadataDict, OptionDict

from netgraft.language import Translator
from netgraft.ui.conversation import Conversation
from netgraft.ui.exchange import NOT_RUN, Exchange, State
from netgraft.ui.figures import count, share, short
from netgraft.ui.job import JobView
from netgraft.ui.measured import measured
from netgraft.ui.steps import values
from netgraft.v1 import agent_pb2, models_pb2, surgery_pb2, tuning_pb2
from netgraft.v1.agent_pb2 import RunEvent

MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~>$-])")
LINE = re.compile(r"^(\s*\d+(?=[.)])|\s*(?==))", re.MULTILINE)
"""What begins a numbered list, or makes the line above it a heading."""
MOST_MODELS = 12
MOST_DIFFERENCES = 30
CANCELLED = "JOB_CANCELLED"
FORMATS = ("safetensors", "state_dict", "onnx", "pt2", "torchscript", "python")


def plain(text: str) -> str:
    """Return Markdown that shows exactly this text."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return LINE.sub(r"\1\\", MARKUP.sub(r"\\\1", escaped))


def messages(conversation: Conversation, say: Translator) -> list[ChatMessage]:
    """Return the whole conversation as messages, oldest first."""
    shown: list[ChatMessage] = []
    for index, exchange in enumerate(conversation.exchanges):
        shown.append(ChatMessage(role="user", content=plain(exchange.text)))
        is_last = index == len(conversation.exchanges) - 1
        shown.extend(_answer(exchange, conversation, say, is_last))
    if conversation.problem:
        shown.append(_problem(conversation.problem))
    return shown


def state_word(state: "tuning_pb2.JobState.ValueType", say: Translator) -> str:
    """Return a job's state in words."""
    return {
        tuning_pb2.JOB_STATE_QUEUED: say("Queued"),
        tuning_pb2.JOB_STATE_PREPARING: say("Preparing"),
        tuning_pb2.JOB_STATE_RUNNING: say("Running"),
        tuning_pb2.JOB_STATE_SUCCEEDED: say("Succeeded"),
        tuning_pb2.JOB_STATE_FAILED: say("Failed"),
        tuning_pb2.JOB_STATE_CANCELLED: say("Cancelled"),
        tuning_pb2.JOB_STATE_PAUSED: say("Paused"),
    }.get(state, say("Starting"))


def _answer(
    exchange: Exchange, conversation: Conversation, say: Translator, is_last: bool
) -> Iterator[ChatMessage]:
    reply = exchange.reply
    if exchange.state is State.PLANNING:
        yield _thought(say("Understanding"), "", pending=True)
    elif reply and reply.kind == "clarify":
        options = [OptionDict(value=option, label=option) for option in reply.options]
        yield ChatMessage(content=plain(reply.question), options=options if is_last else [])
    elif reply and reply.kind in {"answer", "refuse"}:
        yield ChatMessage(content=plain(reply.text or reply.reason))
    elif exchange.state is State.WAITING:
        yield ChatMessage(
            content=say(
                "This needs your consent. Review the plan, then choose **Run** or **Cancel**, "
                "or answer “yes” or “no”."
            )
        )
    elif reply and reply.kind == "plan":
        if exchange.answer:
            yield ChatMessage(content=say("Run this plan?"))
            yield ChatMessage(role="user", content=plain(exchange.answer))
        if exchange.state in NOT_RUN:
            yield ChatMessage(content=_not_run(exchange.state, say))
        else:
            yield from _steps(exchange, conversation, say)
    if exchange.problem:
        yield _problem(exchange.problem)


def _not_run(state: State, say: Translator) -> str:
    if state is State.DECLINED:
        return say("Plan discarded.")
    if state is State.REPLACED:
        return say("Plan not run: your next message took its place.")
    return say("This plan was not run.")


def _steps(
    exchange: Exchange, conversation: Conversation, say: Translator
) -> Iterator[ChatMessage]:
    begun: agent_pb2.StepStarted | None = None
    for event in exchange.events:
        kind = event.WhichOneof("event")
        if kind == "started":
            begun = event.started
        elif begun and kind == "finished":
            yield _thought(_title(begun), _detail(event, begun, say), event.finished.seconds)
            yield ChatMessage(content=_result(event.finished, say))
            if shown := measured(event.finished, say):
                yield ChatMessage(content=gr.HTML(shown))
            begun = None
        elif begun and kind == "failed":
            yield _thought(_title(begun), _values(begun.step, say))
            yield _failure(event.failed)
            begun = None
    if begun:
        yield from _open_step(begun, exchange, conversation, say)


def _open_step(
    begun: agent_pb2.StepStarted, exchange: Exchange, conversation: Conversation, say: Translator
) -> Iterator[ChatMessage]:
    view = conversation.jobs.view(exchange.job_id) if exchange.job_id else None
    if view and not view.ended:
        yield _thought(_title(begun), _job_line(view, say), pending=True)
    elif view:
        yield _thought(_title(begun), _values(begun.step, say))
        yield ChatMessage(content=_job_result(view, say))
    elif exchange.state is State.RUNNING:
        yield _thought(_title(begun), _values(begun.step, say), pending=True)
    else:
        yield _thought(_title(begun), _values(begun.step, say))
        yield ChatMessage(content=say("This step was interrupted."))


def _thought(
    title: str, content: str, seconds: float = 0.0, *, pending: bool = False
) -> ChatMessage:
    metadata = MetadataDict(title=title, status="pending" if pending else "done")
    if seconds:
        metadata["duration"] = seconds
    return ChatMessage(content=content, metadata=metadata)


def _title(begun: agent_pb2.StepStarted) -> str:
    number = f"{begun.index}/{begun.total} · " if begun.total > 1 else ""
    return number + begun.title


def _values(step: agent_pb2.Step, say: Translator) -> str:
    return "\n".join(f"- {plain(name)}: {plain(value)}" for name, value in values(step, say))


def _detail(event: RunEvent, begun: agent_pb2.StepStarted, say: Translator) -> str:
    lines = [_values(begun.step, say)]
    for part in event.finished.diff.differences[:MOST_DIFFERENCES]:
        lines.append("- " + plain(f"{part.path}: {part.before or '–'} → {part.after or '–'}"))
    if model := event.finished.model_id:
        lines.append(f"- {say('Id')}: `{model}`")
        page = event.finished.diff.page or f"/viz/{model}/"
        lines.append(f"- [{say('Open the picture in a window of its own')}]({page})")
    return "\n".join(line for line in lines if line)


def _result(finished: agent_pb2.StepFinished, say: Translator) -> str:
    """Return the result of a step, visible without opening anything."""
    first, _, notices = finished.summary.partition("\n")
    kind = finished.WhichOneof("result")
    if kind == "edit":
        shown = [plain(line) for line in edit_lines(finished.edit, say)]
    elif kind == "models" and finished.models.entries:
        shown = [_zoo(finished.models, say)]
    elif kind == "jobs":
        shown = ["\n".join(f"- {plain(line)}" for line in finished.summary.splitlines())]
        notices = ""
    elif kind == "export":
        shown = [plain(first), _export_link(finished.export, say)]
    elif kind == "job" and finished.job.result_model:
        job = finished.job
        shown = [plain(first), results_link(job.id, say), downloads(job.result_model, say)]
    else:
        shown = [plain(first)]
    return "\n\n".join(dict.fromkeys([*shown, *map(plain, notices.splitlines())]))


def edit_lines(edit: surgery_pb2.EditReply, say: Translator) -> list[str]:
    """Return lines about an edit, with the parameters before and after."""
    figures = say(
        "Parameters {before} → {after}",
        before=count(edit.parameters_before),
        after=count(edit.parameters_after),
    )
    said = edit.summary or edit.model.title
    is_said = count(edit.parameters_before) in said and count(edit.parameters_after) in said
    return [said] if is_said else [said, figures]


def _export_link(ready: agent_pb2.ExportReady, say: Translator) -> str:
    text = plain(say("Download the model as {format}", format=ready.format))
    return f"[{text}]({ready.page})"


def results_link(job: str, say: Translator) -> str:
    """Return a link to a job's results, as Markdown."""
    text = say("Results: curves, every class, the mistakes as pictures")
    return f"[{plain(text)}](/jobs/{job})"


def downloads(model: str, say: Translator) -> str:
    """Return links to a model's files, as Markdown."""
    links = " · ".join(f"[{plain(format_)}](/export/{model}/{format_})" for format_ in FORMATS)
    return f"{say('Download the model')}: {links}"


def _zoo(found: models_pb2.ListModelsReply, say: Translator) -> str:
    entries = found.entries[:MOST_MODELS]
    rows = [
        f"| {plain(f'{entry.name} {entry.title}'.strip())} | "
        f"{short(entry.params) if entry.params else ''} | "
        f"{f'{entry.accuracy:.1f} %' if entry.accuracy else ''} |"
        for entry in entries
    ]
    head = f"| {say('Name')} | {say('Parameters')} | {say('Accuracy')} |"
    note = say("{shown} of {total}", shown=len(entries), total=found.total)
    return "\n".join([head, "|---|--:|--:|", *rows, "", note])


def _job_line(view: JobView, say: Translator) -> str:
    parts = [state_word(view.state, say)]
    if view.progress.total_steps:
        # In steps of 10 %: a message that changes every second cannot be read.
        parts.append(f"{int(view.share * 10) * 10} %")
        parts.append(
            say(
                "epoch {epoch} of {total}",
                epoch=view.progress.epoch,
                total=view.progress.total_epochs,
            )
        )
    return plain(" · ".join(parts))


def _job_result(view: JobView, say: Translator) -> str:
    parts = [state_word(view.state, say)]
    if "accuracy" in view.metrics:
        parts.append(f"{say('Accuracy')} {share(view.metrics['accuracy'])}")
    if "accuracy_without_leaks" in view.metrics:
        fair = share(view.metrics["accuracy_without_leaks"])
        parts.append(say("{accuracy} without pictures that it was trained on", accuracy=fair))
    text = plain(" · ".join(parts))
    if view.error:
        text += f"\n\n{plain(view.error)}"
    text += f"\n\n{results_link(view.id, say)}"
    if view.result_model:
        text += f"\n\n{downloads(view.result_model, say)}"
    return text


def _failure(failed: agent_pb2.StepFailed) -> ChatMessage:
    if failed.reason == CANCELLED:  # the person asked for it: no warning
        return ChatMessage(content=plain(failed.message))
    return _problem(failed.message)


def _problem(sentence: str) -> ChatMessage:
    return ChatMessage(content=f"⚠️ {plain(sentence)}")
