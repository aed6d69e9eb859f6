"""The page as one file that opens offline: it contains scripts, styles, document and numbers.

Netron's modules import each other by relative names, which a page without an origin cannot
resolve; here each is a data: URL, and an import map gives the names.
"""

import base64
import json
import re
from html import escape

from netgraft.graph.viewer import pages

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'unsafe-inline' data:",
        "style-src 'unsafe-inline'",
        "img-src data: blob:",
        "connect-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
"""Content security policy of the file: nothing is loaded from anywhere."""

METADATA = "onnx-metadata.json"

PREFIX = "netron/"
"""The prefix of names in the import map."""


def write(document: bytes, lens: bytes, title: str, query: str) -> bytes:
    """The page of a document as one HTML file (UTF-8), in the view that the query describes."""
    files = pages.shared_files()
    modules = {name: data for name, data in files.items() if name.endswith(".js")}
    own = {name: modules.pop(name) for name in ("index.js", *pages.OWN)}
    imports = {PREFIX + name: _url(name, _named(data)) for name, data in modules.items()}
    described = _described(files[METADATA], document)
    data = {METADATA: _url(METADATA, described)}
    data[pages.DOCUMENT] = _url(pages.DOCUMENT, document)
    head = [
        f'<meta name="view" content="{escape(query)}">',
        f"<style>{files['grapher.css'].decode()}</style>",
        _json("importmap", "", {"imports": imports}),
        _json("application/json", "netgraft-files", data),
        _json("application/json", "netgraft-lens", json.loads(lens)),
    ]
    html = re.sub(r"<link [^>]*>\n?", "", pages.dressed(title, POLICY))
    html = html.replace("</title>", "</title>\n" + "\n".join(head), 1)
    for name, script in own.items():
        tag = f'<script type="text/javascript" src="{name}"></script>'
        html = html.replace(tag, f"<script>{script.decode()}</script>", 1)
    return html.encode()


def _described(metadata: bytes, document: bytes) -> bytes:
    """Netron's descriptions of only those operators that the document may contain."""
    described = [item for item in json.loads(metadata) if item["name"].encode() in document]
    return json.dumps(described).encode()


def _named(script: bytes) -> bytes:
    """A module whose imports are names of the import map."""
    return re.sub(rb"""(from |import\()(['"])\./""", rb"\1\2" + PREFIX.encode(), script)


def _url(name: str, data: bytes) -> str:
    kind = pages.content_type(name).partition(";")[0]
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _json(kind: str, id_: str, value: object) -> str:
    text = json.dumps(value).replace("<", "\\u003c")
    return f'<script type="{kind}" id="{id_}">{text}</script>'
