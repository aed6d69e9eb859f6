"""docs/layout.md lists every source file, and says of each what the file says of itself."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATE = ROOT / "docs" / "generate.py"
SHOWN = (".py", ".proto", ".js", ".css")


def test_the_page_of_the_layout_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, GENERATE, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_page_of_the_layout_lists_every_source_file_under_its_folder() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "proto", "services", "ui"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    wanted = {name for name in tracked if name.endswith(SHOWN) and "_pb2" not in name}
    listed, folder = {}, ""
    for line in (ROOT / "docs" / "layout.md").read_text().splitlines():
        if line.startswith("## "):
            folder = line.removeprefix("## ")
        elif line.startswith("| `"):
            name, said = line.removeprefix("| `").removesuffix(" |").split("` | ", 1)
            listed[f"{folder}/{name}"] = said
    assert wanted - listed.keys() == set(), "docs/layout.md lacks these files"
    assert [name for name, said in listed.items() if not said.strip()] == []
