"""The chat page, which shows a conversation. The part of the gateway that uses Gradio.

The ids that tests and style sheets may rely on:

    chat               the conversation
    message-box        the text field (a textarea is inside)
    send               sends what the text field holds
    attach             chooses a model's file to send; a file can also be dropped anywhere
    server-gone        says that the page's server does not answer; hidden otherwise
    attach-state       progress of the upload, or why the file was refused; hidden otherwise
    new-conversation   begins a new conversation
    plan-card          a plan that waits for consent; shown only while it waits, with
    consent-run        … the button that agrees
    consent-cancel     … the button that declines
    panel              tabs: picture, training, model
    picture-frame      the iframe with Netron, or with the page that compares two models
    training-progress  progress bar with role and aria-valuenow
    job-state          state in words; data-state on its first paragraph: queued, running, …
    loss-curve         the live plot
    cancel-job         shown only while the job runs
    download-model     links, data-format on each
    model-facts        heads and figures of the current model

Gradio mounts the content of a tab when the tab is first opened. The page opens "training"
when a job begins, and on a reload if the newest message started a job.

The page keeps no state: every handler opens the conversation whose name the browser keeps, and
shows its state. A timer refreshes it, so that a second tab and a reloaded page stay up to date.
"""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from netgraft.language import LANGUAGES
from netgraft.ui import panels
from netgraft.ui.conversation import Conversations
from netgraft.ui.handlers import LIVE_SECONDS, PARTS, Handlers
from netgraft.ui.messages import for_browser

SCRIPTS = ("attach.js", "alive.js")
LONGEST_MESSAGE = 100_000

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

NAMING = """<script>
window.netgraft = (() => {
  const key = "netgraft-conversation";
  const made = () => Array.from(crypto.getRandomValues(new Uint8Array(16)),
    (byte) => byte.toString(16).padStart(2, "0")).join("");
  const keep = (name) => {
    try { localStorage.setItem(key, name); } catch { /* kept for this page only */ }
    return name;
  };
  const kept = () => { try { return localStorage.getItem(key); } catch { return null; } };
  let name = null;
  const said = [];
  return {
    name: () => name ??= kept() ?? keep(made()),
    fresh: () => name = keep(made()),
    say: (text) => { said.push(text); return ""; },
    said: () => said.shift() ?? "",
  };
})();
</script>"""
"""The browser chooses the conversation's name, before the first event: with `gr.BrowserState` a
sentence that was sent while the page loaded went to a conversation that nobody found again.

The browser also empties the text field when a sentence is sent: if the server did that, what was
typed in the meantime would be lost."""


def scripts() -> str:
    """Return the scripts that send files and watch the server, with labels in all languages."""
    known = for_browser()
    labels = {language: known[language] for language in LANGUAGES}
    script = "".join(Path(__file__).with_name(name).read_text() for name in SCRIPTS)
    return f"<script>netgraft.labels = {json.dumps(labels)};\n{script}</script>"


FRESH = "(name, seen) => [netgraft.fresh(), seen]"
SAID = "(name, seen) => [netgraft.name(), seen, netgraft.said()]"


def build(conversations: Conversations) -> gr.Blocks:
    """Return the page. Mount it with `i18n()`."""
    label = i18n()
    page: gr.Blocks
    with gr.Blocks(title="netgraft", analytics_enabled=False, fill_width=True) as page:
        gr.HTML('<p id="server-gone" role="alert" hidden></p>', elem_id="server-place")
        name, said = gr.Textbox(visible=False), gr.Textbox(visible=False)  # filled by NAMING
        fresh = _header(label)
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=5, min_width=320, elem_id="conversation"):
                parts: dict[str, Any] = {"chat": _chat(label)}
                agree, decline = _card(label, parts)
                gr.HTML('<p id="attach-state" role="status" hidden></p>', elem_id="attach-place")
                box, send, file = _message(label)
            with gr.Column(scale=7, min_width=320):
                _panel(label, parts)
        parts["timer"] = timer = gr.Timer(LIVE_SECONDS)
        parts["seen"] = gr.State({})
        chat, cancel = parts["chat"], parts["cancel"]
        out = [parts[part] for part in PARTS]
        here = [name, parts["seen"]]
        handlers = Handlers(conversations)
        named: dict[str, Any] = {"js": "(name, seen) => [netgraft.name(), seen]", **PRIVATE}
        concurrent: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple"}
        page.load(handlers.load, here, out, **named)
        fresh.click(handlers.load, here, out, **{**named, "js": FRESH})
        timer.tick(handlers.refresh, here, out, queue=False, **named)
        sent = [box.submit, send.click]
        gr.on(sent, None, box, box, js="netgraft.say", trigger_mode="multiple", **PRIVATE).then(
            handlers.say, [*here, said], out, js=SAID, **concurrent, **PRIVATE
        )
        gr.on([file.click], None, None, None, js="netgraft.sayFile", **PRIVATE).then(
            handlers.say, [*here, said], out, js=SAID, **concurrent, **PRIVATE
        )
        chat.option_select(handlers.choose, here, out, **concurrent, **named)
        chat.example_select(handlers.choose, here, out, **concurrent, **named)
        agree.click(handlers.agree, here, out, **concurrent, **named)
        decline.click(handlers.decline, here, out, **named)
        cancel.click(handlers.cancel, here, out, **named)
    return page


def i18n() -> gr.I18n:
    """Return the labels, for the browser."""
    return gr.I18n(**for_browser())


def _header(label: gr.I18n) -> gr.Button:
    with gr.Row(elem_id="top"):
        gr.HTML('<h1 class="ng-name">netgraft</h1>', elem_id="name")
        return gr.Button(
            label("new_conversation"), elem_id="new-conversation", size="sm", scale=0, min_width=150
        )


def _chat(label: gr.I18n) -> gr.Chatbot:
    return gr.Chatbot(
        elem_id="chat",
        label=label("conversation"),
        show_label=False,
        height="100%",
        buttons=[],
        latex_delimiters=[],
        allow_tags=False,
        feedback_options=None,
        allow_file_downloads=False,
    )


def _card(label: gr.I18n, parts: dict[str, Any]) -> tuple[gr.Button, gr.Button]:
    with gr.Column(visible=False, elem_id="plan-card") as parts["card"]:
        parts["card_text"] = gr.HTML()
        with gr.Row():
            agree = gr.Button(label("run"), variant="primary", elem_id="consent-run", min_width=80)
            decline = gr.Button(label("cancel"), elem_id="consent-cancel", min_width=80)
    return agree, decline


def _message(label: gr.I18n) -> tuple[gr.Textbox, gr.Button, gr.Button]:
    """Return the text field, its send button, and the button that the upload script clicks."""
    with gr.Row(elem_id="say"):
        box = gr.Textbox(
            elem_id="message-box",
            label=label("message"),
            placeholder=label("message_hint"),
            lines=1,
            max_lines=6,
            max_length=LONGEST_MESSAGE,
            autofocus=True,
            scale=5,
            min_width=120,
            container=False,
        )
        attach = gr.Button(label("attach"), elem_id="attach", scale=0, min_width=72)
        send = gr.Button(label("send"), variant="primary", elem_id="send", scale=0, min_width=88)
        file = gr.Button(elem_id="say-file")
    attach.click(None, None, None, js="netgraft.attach", **PRIVATE)
    return box, send, file


def _panel(label: gr.I18n, parts: dict[str, Any]) -> None:
    with gr.Tabs(elem_id="panel") as parts["tabs"]:
        with gr.Tab(label("picture"), id="picture", elem_id="picture-tab"):
            parts["picture"] = gr.HTML(elem_id="picture")
        with gr.Tab(label("training"), id="training", elem_id="training-tab"):
            parts["state"] = gr.HTML(elem_id="job-state")
            parts["progress"] = gr.HTML(elem_id="training-progress")
            parts["curve"] = gr.LinePlot(
                x="step",
                y="loss",
                color="series",
                color_map=panels.colours(),
                colors_in_legend=[],  # the progress panel names the lines
                label=label("loss_curve"),
                show_label=False,
                height=320,
                elem_id="loss-curve",
            )
            parts["cancel"] = gr.Button(
                label("cancel_job"), variant="stop", size="sm", visible=False, elem_id="cancel-job"
            )
            parts["downloads"] = gr.HTML(elem_id="download-model")
        with gr.Tab(label("model"), id="model", elem_id="model-tab"):
            parts["model"] = gr.HTML(elem_id="model-facts")
