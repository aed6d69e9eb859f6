"""What is kept by recipe is made once, by whoever asks, and again where its file is damaged."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from netgraft.store.memo import Memo
from netgraft.store.recent import Recent
from netgraft.store.store import Store

KEY = "ab" * 32
NUMBERS = Memo[list[int]]("numbers", "json", "1", lambda v: json.dumps(v).encode(), json.loads)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'db.sqlite'}")
    yield store
    store.engine.dispose()


def elsewhere(store: Store) -> Store:
    """The store as another process opens it: nothing is in memory."""
    store.engine.dispose()
    return Store(store.folder, str(store.engine.url))


class Making:
    """Makes a value and counts how often."""

    def __init__(self, value: list[int] | None = None) -> None:
        self.value, self.times = value or [1, 2, 3], 0

    def __call__(self) -> list[int]:
        self.times += 1
        return self.value


def test_a_value_is_made_once_and_found_in_memory_and_by_other_processes(store: Store) -> None:
    make = Making()
    assert NUMBERS.find(store, KEY) is None
    assert NUMBERS.get(store, KEY, make) is NUMBERS.get(store, KEY, make)
    assert NUMBERS.find(elsewhere(store), KEY) == make.value
    assert NUMBERS.get(elsewhere(store), KEY, make) == make.value
    assert make.times == 1


def test_who_asks_while_it_is_made_waits_for_it(store: Store) -> None:
    asked = threading.Barrier(8)
    make = Making()

    def slowly() -> list[int]:
        asked.wait()  # for all others to have asked, or to have been about to
        return make()

    def ask(first: bool) -> list[int]:
        if first:
            return NUMBERS.get(store, KEY, slowly)
        asked.wait()
        return NUMBERS.get(store, KEY, make)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, [True] + 7 * [False]))
    assert found == 8 * [make.value]
    assert make.times == 1


def test_one_key_does_not_wait_for_another(store: Store) -> None:
    others = threading.Event()

    def slow() -> list[int]:
        assert others.wait(30)
        return [0]

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(NUMBERS.get, store, KEY, slow)
        assert NUMBERS.get(store, "other", Making([7])) == [7]
        others.set()
        assert first.result() == [0]


def test_a_value_may_be_made_of_another(store: Store) -> None:
    def of_parent() -> list[int]:
        return [*NUMBERS.get(store, "parent", Making([1])), 2]

    assert NUMBERS.get(store, KEY, of_parent) == [1, 2]


def test_an_error_is_raised_and_nothing_is_kept(store: Store) -> None:
    def fails() -> list[int]:
        raise LookupError(KEY)

    with pytest.raises(LookupError, match=KEY):
        NUMBERS.get(store, KEY, fails)
    assert store.names("numbers") == []
    assert NUMBERS.get(store, KEY, Making()) == [1, 2, 3]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-2] + b"9]",
        lambda data: data + b"0",
        lambda data: b"\0" * len(data),
        lambda data: data.partition(b"\n")[2],
    ],
)
def test_a_damaged_file_is_made_again(damage: Callable[[bytes], bytes], store: Store) -> None:
    NUMBERS.get(store, KEY, Making())
    path = Path(store.root, "numbers", NUMBERS.file_name(KEY))
    sound = path.read_bytes()
    path.write_bytes(damage(sound))
    again = Making([4, 5])
    other = elsewhere(store)
    assert NUMBERS.find(other, KEY) is None
    assert NUMBERS.get(other, KEY, again) == [4, 5]
    assert NUMBERS.get(elsewhere(store), KEY, again) == [4, 5]
    assert again.times == 1


def test_another_version_of_the_format_is_made_again_and_leaves_the_old_one(store: Store) -> None:
    NUMBERS.get(store, KEY, Making([1]))
    newer = replace(NUMBERS, version=lambda: "2")
    assert newer.get(store, KEY, Making([2])) == [2]
    assert NUMBERS.find(elsewhere(store), KEY) == [1]


def test_a_memo_keeps_none_like_other_values(store: Store) -> None:
    memo = Memo[None]("nothing", "json", "1", lambda v: json.dumps(v).encode(), json.loads)
    times = []
    for each in (store, store, elsewhere(store)):
        assert memo.get(each, KEY, lambda: times.append(1)) is None
    assert len(times) == 1


def test_what_is_kept_in_memory_alone_has_no_file(store: Store) -> None:
    NUMBERS.put(store, KEY, [9], in_store=False)
    assert NUMBERS.is_in_memory(store, KEY)
    assert NUMBERS.find(store, KEY) == [9]
    assert store.names("numbers") == []
    NUMBERS.put(store, KEY, [9])
    assert NUMBERS.find(elsewhere(store), KEY) == [9]


def test_the_oldest_files_go_where_their_bytes_are_bounded(store: Store) -> None:
    bounded = replace(NUMBERS, most_bytes=100, in_memory=0)
    for number in range(20):
        bounded.get(store, f"{number:02}", Making([number]))
        assert sum(store.size("numbers", name) for name in store.names("numbers")) <= 100
    assert bounded.find(store, "19") == [19]
    assert bounded.find(store, "00") is None
    assert bounded.get(store, "00", Making([0])) == [0]


def test_memory_holds_the_values_that_were_asked_for_last() -> None:
    recent = Recent[int](2)
    for key in ("a", "b", "a", "c"):
        recent.get(key, lambda: 0)
    assert [key in recent for key in "abc"] == [True, False, True]
