"""How many sentences of people that it has never met the planner understands:

    python tests/bench/bench_understanding.py          # shares by kind and by tag of both sets
    python tests/bench/bench_understanding.py --show   # and each miss of the development set

The sets are in tests/agent/hands, whose README says where they are from. A reply is right if it has
the kind that was expected and, for a plan, exactly its steps; the texts of other kinds are not
compared. "Wrong plans" are those that do something else than was said, or that nobody asked for.
"""

import argparse
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netgraft.agent import plan_batch

FOLDER = Path(__file__).parents[1] / "agent" / "hands"


@dataclass
class Score:
    """Right replies, and all, by tag and by kind."""

    right: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)
    plans: int = 0
    """Plans that were given."""
    wrong_plans: int = 0
    misses: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)

    def add(self, dialogue: dict[str, Any], reply: dict[str, Any]) -> None:
        """Count a reply."""
        expected = dialogue["reply"]
        is_right = essence(reply) == essence(expected)
        for name in ("all", f"kind {expected['kind']}", *dialogue["tags"]):
            self.total[name] += 1
            self.right[name] += is_right
        if reply["kind"] == "plan":
            self.plans += 1
            self.wrong_plans += not is_right
        if not is_right:
            self.misses.append((dialogue, reply))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--show", action="store_true", help="misses of the development set")
    show = parser.parse_args().show
    for name in ("development", "sealed"):
        score = scored(read(name))
        say(
            f"{name}: {share(score, 'all')} right; {score.wrong_plans} of {score.plans} plans wrong"
        )
        say("  " + ", ".join(f"{each} {share(score, each)}" for each in sorted(score.total)))
        if show and name == "development":
            for dialogue, reply in score.misses:
                say(json.dumps(dialogue | {"got": reply}, ensure_ascii=False))


def read(name: str) -> Iterator[dict[str, Any]]:
    """The dialogues of a set."""
    path = FOLDER / f"{name}.jsonl"
    data = path.read_bytes() if path.exists() else gzip.decompress(_packed(path).read_bytes())
    return map(json.loads, data.decode().splitlines())


def scored(dialogues: Iterator[dict[str, Any]]) -> Score:
    """Plan every dialogue and count."""
    score = Score()
    for dialogue in dialogues:
        score.add(dialogue, plan_batch(dialogue["turns"]))
    return score


def essence(reply: dict[str, Any]) -> tuple[str, Any, Any]:
    """What is compared of a reply."""
    return reply["kind"], plain(reply.get("steps")), reply.get("decision")


def plain(value: Any) -> Any:
    """Values without the difference between 5, 5.0 and "5": protobuf's JSON has all three."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def share(score: Score, name: str) -> str:
    return f"{score.right[name]}/{score.total[name]}"


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def _packed(path: Path) -> Path:
    return path.with_name(f"{path.name}.gz")


if __name__ == "__main__":
    main()
