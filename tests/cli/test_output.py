"""Numbers for people, and files that are written whole or not at all."""

from pathlib import Path

import pytest

from netgraft.cli.commands import export
from netgraft.cli.terminal import output
from netgraft.errors import WouldOverwrite


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (25_557_032, "25.6M"),
        (999_999, "1M"),
        (4 * 10**9, "4G"),
    ],
)
def test_counts_have_three_digits(number: int, shown: str) -> None:
    assert output.count(number) == shown


@pytest.mark.parametrize(
    ("number", "shown"), [(12, "12 B"), (102_502_400, "103 MB"), (1_234, "1.23 kB")]
)
def test_sizes_are_in_bytes(number: int, shown: str) -> None:
    assert output.size(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.04, "0.0 s"), (59.6, "59.6 s"), (65, "1:05"), (7384, "2:03:04")]
)
def test_durations_are_easy_to_read(seconds: float, shown: str) -> None:
    assert output.duration(seconds) == shown


def test_an_interrupted_file_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"the old one")
    with pytest.raises(RuntimeError), export.writing(file) as out:
        out.write(b"half")
        raise RuntimeError
    assert file.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [file]


def test_a_missing_folder_is_reported_by_the_name_that_was_given(tmp_path: Path) -> None:
    file = tmp_path / "out" / "model.onnx"
    with pytest.raises(FileNotFoundError) as raised, export.writing(file):
        pass
    assert raised.value.filename == str(file)


def test_a_file_is_overwritten_only_on_request(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    export.refuse_overwriting(file, force=False)
    file.touch()
    export.refuse_overwriting(file, force=True)
    with pytest.raises(WouldOverwrite, match="--force"):
        export.refuse_overwriting(file, force=False)
