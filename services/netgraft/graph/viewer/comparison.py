"""The compare page: two pictures side by side, and the list of what differs between them.

It is served at `/viz/compare/{a}/{b}/` and shows the pages of both models in frames;
compare.js does the rest.
"""

import json
from dataclasses import asdict
from html import escape
from typing import Any

from netgraft.graph.difference import Difference, ModuleDifference
from netgraft.graph.viewer import pages
from netgraft.language import LANGUAGES, Message
from netgraft.models.recipe import Recipe

DIFFERENCES = "diff.json"
FILES = ("", DIFFERENCES)
"""Files under a pair's prefix; "" is the page."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "frame-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{a_title} ↔ {b_title}</title>
<link rel="icon" href="{shared}favicon.ico">
<link rel="stylesheet" href="{shared}compare.css">
<script src="{shared}{language}" defer></script>
<script src="{shared}compare.js" defer></script>
</head>
<body>
<main>
{sides}
</main>
<section id="differences">
<ul id="legend"></ul>
<p id="told" role="status"></p>
<div id="list" tabindex="-1"><table hidden><thead></thead><tbody></tbody></table></div>
</section>
</body>
</html>
"""

SIDE = """<section>
<h2>
<a href="{page}" target="_blank" rel="noopener">{title}</a>
<span id="{side}-parameters"></span>
</h2>
<iframe id="{side}" title="{title}" data-src="{page}?bar=none"></iframe>
</section>"""

ROOT = "../../../"
"""From a pair's page up to `/viz/`."""


def address(a: Recipe, b: Recipe) -> str:
    """Path of the page under the gateway's origin."""
    return f"/viz/compare/{a.id}/{b.id}/"


def page(a: Recipe, b: Recipe) -> pages.File:
    """The page of a pair, to be served at a path that ends in "/"."""
    sides = "\n".join(
        SIDE.format(side=side, title=escape(recipe.title), page=f"{ROOT}{recipe.id}/")
        for side, recipe in (("a", a), ("b", b))
    )
    html = PAGE.format(
        policy=POLICY,
        a_title=escape(a.title),
        b_title=escape(b.title),
        shared=ROOT + pages.shared_folder(),
        language=pages.LANGUAGE,
        sides=sides,
    )
    return pages.File(html.encode(), pages.CONTENT_TYPES[".html"])


def differences(found: Difference) -> pages.File:
    """The differences of a pair, as JSON."""
    document = {
        "a": {"parameters": found.a_parameters, "root": found.a_root},
        "b": {"parameters": found.b_parameters, "root": found.b_root},
        "differences": [_plain(item) for item in found.modules],
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return pages.File(text.encode(), pages.CONTENT_TYPES[".json"])


def _plain(item: ModuleDifference) -> dict[str, Any]:
    before = item.path if item.path_before is None else item.path_before
    texts = {"before": _in_each(item.before), "after": _in_each(item.after)}
    return asdict(item) | texts | {"kind": item.kind.value, "path_before": before}


def _in_each(text: str) -> str | dict[str, str]:
    """A message in every language; any other text as it is."""
    if not isinstance(text, Message):
        return text
    return {language: text.say(language) for language in LANGUAGES}
