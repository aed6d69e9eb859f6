"""Write docs/layout.md from the first lines of the sources, or check that it is up to date.

python docs/generate.py            write it
python docs/generate.py --check    exit 1 where it is stale
"""

import ast
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "layout.md"
SHOWN = (".py", ".proto", ".js", ".css", ".yaml", "Dockerfile")
COMMENT = re.compile(r"(#|//|/\*+|\s\*(?!/))\s*(?P<text>.*?)\s*(\*/)?$")
FOLDERS = ("proto", "services", "ui", "docker", "k8s")
HEAD = """# The layout

Every source file and its first line. `make layout` writes this page; `make check` fails if it is
stale. [CONTRIBUTING.md](../CONTRIBUTING.md) says which package may import which.
"""


def sources() -> list[Path]:
    """Return the paths, from the root, of all files that the page lists, sorted by folder."""
    listed = subprocess.run(  # noqa: S603
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    found = (Path(name) for name in listed if name.endswith(SHOWN) and "_pb2" not in name)
    return sorted((path for path in found if (ROOT / path).is_file()), key=_place)


def _place(path: Path) -> tuple[str, bool, str]:
    return (path.parent.as_posix(), path.name != "__init__.py", path.name)


def summary(path: Path) -> str:
    """Return the first sentence of a file's docstring or comment; "" if it has none."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.suffix == ".py":
        said = ast.get_docstring(ast.parse(text)) or ""
        return " ".join(said.split("\n\n")[0].split()).removesuffix(".")
    return _first_sentence(_comment(text))


def _comment(text: str) -> str:
    """Return the first comment of a file that is not Python, up to its first sentence's line."""
    lines: list[str] = []
    for line in text.splitlines():
        found = COMMENT.match(line)
        if found and found["text"] and not found["text"].startswith("syntax="):
            lines.append(found["text"])
        elif lines:
            break
        if lines and lines[-1].endswith((".", ":")):
            break
    return " ".join(lines)


def _first_sentence(text: str) -> str:
    return re.split(r"(?<!\.py)\. ", text)[0].rstrip(".:")


def page() -> str:
    """Return the page that the current sources give."""
    lines = [HEAD]
    for folder, paths in groupby(sources(), key=lambda path: path.parent.as_posix()):
        lines += [f"## {folder}", "", "| file | |", "|---|---|"]
        lines += [f"| `{path.name}` | {_cell(summary(path))} |" for path in paths]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    fresh = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(fresh, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == fresh:
        return 0
    sys.stderr.write("docs/layout.md is stale: run `make layout`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
