"""Write the zoo's index from the installed libraries: `python -m netgraft.models.zoo.generate`.

About five minutes: timm's parameters are counted by building each model without weights.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from netgraft.models.naming import FIRST
from netgraft.models.source import Source, sources
from netgraft.models.zoo.catalogue import FILE


def generate(file: Path) -> None:
    """Write an entry for every name of every source, one a line."""
    with file.open("w") as out:
        for source in sorted(sources(), key=_place):
            for name in source.names():
                line = json.dumps(asdict(source.entry(name)), separators=(",", ":"))
                out.write(line + "\n")
                out.flush()


def _place(source: Source) -> tuple[bool, str]:
    return (source.name != FIRST, source.name)


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).with_name(FILE))
    generate(Path(target))
