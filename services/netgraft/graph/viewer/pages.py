"""Netron's own files, and the page around them.

Only files listed here are served. The files that all models share lie under a folder named by
the hash of their contents, so that browsers may cache them for ever; the page and the document
lie under the model's own prefix.
"""

import hashlib
import importlib.util
import re
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path

from netgraft.errors import NotFound
from netgraft.graph.viewer import sentences
from netgraft.language import Message

STATIC = "static"
"""Stands in place of a model id in the paths of the shared files."""
DOCUMENT = "model.onnx"
HIERARCHY = "model.json"
LENS = "lens.json"
PICTURES = ("graph.svg", "graph.png", "graph.html")
"""Files under a model's prefix, beside the page itself."""
FILES = (DOCUMENT, HIERARCHY, LENS, *PICTURES)
LANGUAGE = "language.js"
"""Our script that the compare page has too: the sentences, and the reader's language."""
OWN = (LANGUAGE, "nodes.js", "netgraft.js", "lens.js")
"""Our scripts of a model's page, in the order in which they run."""
COMPARE = ("compare.js", "compare.css")
"""Our files of the compare page."""
NETRON_FILES = (
    "base.js",
    "browser.js",
    "dagre.js",
    "favicon.ico",
    "flatbuffers.js",
    "flexbuffers.js",
    "grapher.css",
    "grapher.js",
    "hdf5.js",
    "icon.png",
    "index.js",
    "json.js",
    "onnx-metadata.json",
    "onnx-proto.js",
    "onnx-schema.js",
    "onnx.js",
    "protobuf.js",
    "python.js",
    "tar.js",
    "text.js",
    "view.js",
    "worker.js",
    "xml.js",
    "zip.js",
)
"""The files that Netron loads to draw an ONNX document."""
EARLY = (
    *("base", "text", "flatbuffers", "flexbuffers", "zip", "tar", "python"),
    *("json", "xml", "protobuf", "hdf5", "grapher", "browser", "view", "onnx", "onnx-proto"),
)
"""Scripts that Netron would otherwise request in several rounds, one after another."""
READERS = re.compile(r"[a-z0-9]+(-(proto|schema))?\.js|[a-z0-9]+-metadata\.json")
"""Netron's own files for other formats; nothing else is served."""

CONTENT_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".onnx": "application/octet-stream",
}

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # Netron writes style attributes
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
"""Content security policy of the page: nothing leaves the origin, nothing is evaluated."""


@dataclass(frozen=True)
class File:
    """A file as a browser gets it."""

    data: bytes
    content_type: str
    immutable: bool = False


@dataclass(frozen=True)
class _Shared:
    folder: str
    """Path of the shared files under the static prefix: their hash."""
    files: dict[str, bytes]
    readers: dict[str, Path]
    """Files that few pages need, read on request: together 20 MB."""
    index: str
    """Netron's own page."""


@lru_cache(maxsize=1)
def _shared() -> _Shared:
    spec = importlib.util.find_spec("netron")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    netron = Path(spec.submodule_search_locations[0])
    files = {name: (netron / name).read_bytes() for name in NETRON_FILES}
    files |= {name: Path(__file__).with_name(name).read_bytes() for name in (*OWN, *COMPARE)}
    files[LANGUAGE] = sentences.script() + files[LANGUAGE]
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + files[name])
    readers = {
        path.name: path
        for path in sorted(netron.iterdir())
        if READERS.fullmatch(path.name) and path.name not in files
    }
    for name, path in readers.items():  # a release of Netron that differs in one, differs in size
        digest.update(f"{name} {path.stat().st_size}".encode())
    index = (netron / "index.html").read_text("utf-8")
    return _Shared(digest.hexdigest()[:16], files, readers, index)


def shared_files() -> dict[str, bytes]:
    """All files that the page of a model may load, by name."""
    return {name: data for name, data in _shared().files.items() if name not in COMPARE}


def shared_folder() -> str:
    """Path of the shared files, as under `/viz/`."""
    return f"{STATIC}/{_shared().folder}/"


def static_file(path: str) -> File:
    """A file that all models share, by its path under the static prefix. Raises NotFound."""
    shared = _shared()
    folder, _, name = path.partition("/")
    if folder != shared.folder or name not in shared.files.keys() | shared.readers.keys():
        raise NotFound(what=Message("the file {path!r}", path=path))
    data = shared.files.get(name) or shared.readers[name].read_bytes()
    return File(data, content_type(name), immutable=True)


def model_file(name: str, data: bytes) -> File:
    """A file under a model's prefix: DOCUMENT, HIERARCHY, LENS or one of PICTURES."""
    return File(data, content_type(name))


def page(title: str, document: str = DOCUMENT) -> File:
    """The page that shows a model, to be served at a path that ends in "/".

    `document` is the name of what Netron is to open; its suffix determines how.
    """
    base = f"../{shared_folder()}"
    html = dressed(title, POLICY, document)
    html = re.sub(r'(href|src)="([\w.-]+\.(?:css|js|ico|png))"', rf'\1="{base}\2"', html)
    html = html.replace("</head>", f"{_early(base, document)}\n</head>", 1)
    return File(html.encode(), CONTENT_TYPES[".html"])


def _early(base: str, document: str) -> str:
    """Links that let the browser request everything at once, the document first: it arrives
    while Netron starts."""
    fetched = [document, *([f"{base}onnx-metadata.json"] if document == DOCUMENT else [])]
    lines = [f'<link rel="preload" as="fetch" crossorigin href="{escape(it)}">' for it in fetched]
    lines += [f'<link rel="modulepreload" href="{base}{name}.js">' for name in EARLY]
    return "\n".join(lines)


def dressed(title: str, policy: str, document: str = DOCUMENT) -> str:
    """Netron's own page with our scripts beside its own, and the metadata that Netron reads."""
    shared = _shared()
    # Netron stops working when its date is half a year old, and without one takes today's: a
    # page that was saved opens for ever, and equal pages are the same bytes. It reports to its
    # maker unless its version is 0.0.0 (netron 9.3.3, browser.js).
    metas = {
        "type": "netgraft",
        "version": "0.0.0",
        "file": document,
        "identifier": document,
        "name": title,
    }
    lines = [f'<meta http-equiv="Content-Security-Policy" content="{policy}">']
    lines += [f'<meta name="{name}" content="{escape(text)}">' for name, text in metas.items()]
    html = re.sub(
        r'<meta (http-equiv="Content-Security|name="(version|date)).*?>\n', "", shared.index
    )
    html = html.replace(
        "<title>Netron</title>", "\n".join([*lines, f"<title>{escape(title)}</title>"])
    )
    own = "\n".join(f'<script type="text/javascript" src="{name}"></script>' for name in OWN)
    return html.replace("</script>", f"</script>\n{own}", 1)


def content_type(name: str) -> str:
    """MIME type of a file that this module hands out."""
    return CONTENT_TYPES.get(Path(name).suffix, "application/octet-stream")
