"""A model's answers to the pictures that were held out, kept as Parquet beside the model.

A run keeps what it measured, so that a page can show every mistake without asking the model
again. Reading and counting them needs no torch.
"""

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from netgraft.store.recent import Recent
from netgraft.store.store import Store
from netgraft.tuning.results.classcounts import ClassCounts

KIND = "heldout"
FORMAT = "1"
FACTS = b"netgraft"
"""Where the file's metadata has what is not a column."""
COLUMNS = ("names", "truths", "said", "probabilities")
MOST_IN_MEMORY = 8
MOST_MISTAKES = 50


@dataclass(frozen=True)
class Answer:
    """A model's answer to one picture; those of which it was surer are greater."""

    probability: float
    """Of what it said."""
    file: str
    truth: str
    said: str


@dataclass(frozen=True)
class HeldOut:
    """The answers of one model. `names`, `truths`, `said` and `probabilities` have one value for
    each picture; classes are indices of `class_names`.
    """

    job: str
    data: str
    """Reference of the data set."""
    data_hash: str
    class_names: tuple[str, ...]
    sizes: Mapping[str, int]
    """Number of pictures by use: "fit", "held_back", "held_out" and perhaps "test"."""
    metrics: Mapping[str, float]
    """As a job has them."""
    names: Sequence[str] = field(repr=False)
    truths: Sequence[int] = field(repr=False)
    said: Sequence[int] = field(repr=False)
    probabilities: Sequence[float] = field(repr=False)

    @cached_property
    def taken(self) -> Counter[tuple[int, int]]:
        """Number of pictures by their class and the one that was named."""
        return Counter(zip(self.truths, self.said, strict=True))

    @cached_property
    def of_classes(self) -> list[ClassCounts]:
        """The counts of every class, in index order."""
        pictures, named = Counter(self.truths), Counter(self.said)
        return [
            ClassCounts(pictures[index], self.taken[index, index], named[index])
            for index in range(len(self.class_names))
        ]

    @property
    def correct(self) -> int:
        """Number of pictures whose class was named."""
        return sum(each.right for each in self.of_classes)

    def confusion(self) -> list[int]:
        """Row by row (the true class), how many pictures were taken for each class."""
        classes = range(len(self.class_names))
        return [self.taken[truth, said] for truth in classes for said in classes]

    def confused(self, most: int) -> list[tuple[str, str, int]]:
        """Pairs of a class and another that was named instead, the most frequent first."""
        wrong = [(pair, pictures) for pair, pictures in self.taken.items() if pair[0] != pair[1]]
        wrong.sort(key=lambda each: (-each[1], each[0]))
        names = self.class_names
        return [(names[truth], names[said], pictures) for (truth, said), pictures in wrong[:most]]

    def mistakes(self, most: int = MOST_MISTAKES) -> list[Answer]:
        """The pictures that were named wrong, the most certain first."""
        wrong = [at for at in self._surest_first if self.truths[at] != self.said[at]]
        return [self._answer(at) for at in wrong[:most]]

    def answers(self, truth: str = "", said: str = "") -> list[Answer]:
        """The answers to pictures of a class that were taken for another; "" stands for any."""
        return [
            answer
            for answer in map(self._answer, self._surest_first)
            if truth in ("", answer.truth) and said in ("", answer.said)
        ]

    @cached_property
    def _surest_first(self) -> list[int]:
        order = range(len(self.names))
        return sorted(order, key=lambda at: (-self.probabilities[at], self.names[at]))

    def _answer(self, at: int) -> Answer:
        truth, said = self.class_names[self.truths[at]], self.class_names[self.said[at]]
        return Answer(self.probabilities[at], self.names[at], truth, said)


def keep(store: Store, model: str, found: HeldOut) -> None:
    """Keep a model's answers. Raises DiskFull."""
    store.put_file(KIND, _file(model), _to_bytes(found))


def kept(store: Store, model: str) -> HeldOut | None:
    """A model's answers; None where none were kept."""
    recent: Recent[HeldOut] = store.recent(KIND, MOST_IN_MEMORY)
    try:
        return recent.get(model, lambda: _from_bytes(store.read(KIND, _file(model))))
    except FileNotFoundError:
        return None


def _file(model: str) -> str:
    return f"{model}.{FORMAT}.parquet"


def _to_bytes(found: HeldOut) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    facts = {
        name: getattr(found, name) for name in found.__dataclass_fields__ if name not in COLUMNS
    }
    table = pa.table({name: pa.array(getattr(found, name)) for name in COLUMNS})
    table = table.replace_schema_metadata({FACTS: json.dumps(facts).encode()})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _from_bytes(data: bytes) -> HeldOut:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(data))
    facts = json.loads(table.schema.metadata[FACTS])
    facts["class_names"] = tuple(facts["class_names"])
    columns = {name: table[name].to_pylist() for name in COLUMNS}
    return HeldOut(**facts, **columns)
