"""README's map of the house names every file that a newcomer may open."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHOWN = (".py", ".proto", ".js", ".css")


def test_the_house_map_lists_every_source_file_under_its_folder() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "proto", "services", "ui"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    wanted = {name for name in tracked if name.endswith(SHOWN) and "_pb2" not in name}
    listed, folder = set(), ""
    for line in (ROOT / "README.md").read_text().splitlines():
        words = line.split()
        if line.endswith("/") and len(words) == 1:
            folder = line
        elif line.startswith("  ") and words:
            listed.add(folder + words[0])
    assert wanted - listed == set(), "README's map of the house lacks these files"
