"""The sentences that our scripts show, in every language.

A script asks for one by its key, `say("kind.added")`, through language.js. The sentences of all
languages stand at the head of that file, because the reader's browser chooses between them and
the file is cached for ever: other sentences give the folder of the shared files another name.
"""

import json

from netgraft.language import LANGUAGES, in_context, mark, translation

SENTENCES = {
    "unloaded": mark("{script} did not load."),
    "lens": mark("Colour boxes by"),
    "lens.none": mark("what boxes do"),
    "lens.trainable": mark("what trains"),
    "lens.parameters": in_context("of a box", "parameters"),
    "lens.flops": mark("FLOPs"),
    "lens.activations": mark("activations"),
    "lens.change": mark("change in training"),
    "lens.gradient": mark("gradient norm"),
    "batch": mark("batch"),
    "box.trains": mark("trains"),
    "box.partly": mark("partly frozen"),
    "box.frozen": mark("frozen"),
    "kind.added": mark("added"),
    "kind.removed": mark("removed"),
    "kind.changed": mark("changed"),
    "kind.trainable": mark("trainable / frozen"),
    "around": mark("holds a difference"),
    "column.module": mark("module"),
    "column.what": mark("what"),
    "column.before": mark("before"),
    "column.after": mark("after"),
    "column.parameters": in_context("of a box", "parameters"),
    "column.weights": in_context("of a module", "weights"),
    "model": mark("(model)"),
    "total": in_context("of a model", "{number} parameters"),
    "alike": mark("The two models are alike."),
    "failed": mark("The models cannot be compared. {problem}"),
}
"""By their keys; the script puts the values in."""


def script() -> bytes:
    """Return the line before language.js: the sentences by language, then by key."""
    said = {
        language: {key: translation(text, language) for key, text in SENTENCES.items()}
        for language in LANGUAGES
    }
    # "<" is escaped because the one-file page holds its scripts between tags.
    text = json.dumps(said, separators=(",", ":")).replace("<", "\\u003c")
    return f"window.netgraftSentences = {text};\n".encode()
