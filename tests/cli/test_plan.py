"""plan and do: in this process, and against the real services over real gRPC."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netgraft.cli import failure

from .conftest import Run
from .server import serving

NETGRAFT = str(Path(sys.executable).with_name("netgraft"))
EDIT = "retarget resnet18 to 10 classes"
TRAIN = "retarget resnet18 to 10 classes, fine-tune it on digits for 2 epochs"


@pytest.fixture
def address(state: Path) -> Iterator[str]:
    """A running agent and what its edits need."""
    with serving() as address:
        yield address


def lines(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def test_plan_prints_the_plan_for_a_sentence(run: Run) -> None:
    shown = json.loads(run("plan", TRAIN, "--json").stdout)
    assert shown["kind"] == "plan"
    assert [list(step) for step in shown["steps"]] == [["retarget"], ["finetune"]]
    card = run("plan", TRAIN).stdout.splitlines()
    assert card[0] == "  1. retarget · model resnet18 · classes 10"
    assert card[1].endswith("(needs consent)")


def test_plan_asks_and_refuses_without_failing(run: Run) -> None:
    asked = run("plan", "show resnet500")
    assert (asked.exit_code, asked.stdout.splitlines()[1]) == (0, "  1. resnet50")
    refused = run("plan", "delete all my files", "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["kind"]) == (0, "refuse")


def test_a_batch_gives_a_reply_for_each_line(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "sentences.jsonl"
    turns = ["show resnet50", "把它改成10类"]
    file.write_text(json.dumps({"id": "a", "turns": turns}) + '\n\n{"id": 2, "turns": ["hello"]}')
    result = run("plan", "--batch", str(file), "--json")
    first, second = lines(result.stdout)
    assert first == {
        "id": "a",
        "reply": {"kind": "plan", "steps": [{"retarget": {"classes": 10}}]},
    }
    assert (second["id"], second["reply"]["kind"]) == (2, "answer")  # type: ignore[index]


def test_an_invalid_batch_line_is_named(run: Run) -> None:
    result = run("plan", "--batch", "-", input='{"id": 1, "turns": ["hello"]}\n{"id": 2}\n')
    assert result.exit_code == failure.FAILED
    assert "line 2" in result.stderr


def test_do_carries_a_sentence_out(run: Run, address: str) -> None:
    result = run("do", EDIT, "--server", address)
    assert result.exit_code == 0, result.output
    assert "▸ 1/1 Retarget resnet18 to 10 classes" in result.stdout
    assert "fc: Linear(512 → 1000) → Linear(512 → 10)" in result.stdout


def test_do_with_json_prints_the_plan_and_then_the_events(run: Run, address: str) -> None:
    result = run("do", EDIT, "--weights", "none", "--json", "--server", address)
    plan, started, finished = lines(result.stdout)
    assert plan["kind"] == "plan"
    assert started["started"]["index"] == 1  # type: ignore[index]
    edit = finished["finished"]["edit"]  # type: ignore[index]
    assert edit["heads"][0]["in_features"] == 512
    assert edit["model"]["base"] == "torchvision/resnet18@none"


@pytest.mark.parametrize("name", ["plan.json", "plan.yaml"])
def test_do_carries_a_plan_file_out(run: Run, address: str, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text('{"steps": [{"retarget": {"model": "resnet18", "classes": 7}}, {"undo": {}}]}')
    result = run("do", "--file", str(file), "--yes", "--json", "--server", address)
    assert result.exit_code == 0, result.output
    assert [next(iter(line)) for line in lines(result.stdout)[1:]] == ["started", "finished"] * 2


def test_a_step_that_fails_ends_with_1(run: Run, address: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text('{"steps": [{"undo": {"model": "resnet18"}}, {"undo": {}}]}')
    result = run("do", "--file", str(file), "--server", address)
    assert result.exit_code == failure.FAILED
    assert "✗" in result.stdout
    assert "(NOTHING_TO_UNDO)" in result.stdout
    assert "2/2" not in result.stdout


def test_an_expensive_step_does_not_start_without_consent(run: Run, address: str) -> None:
    result = run("do", TRAIN, "--server", address)
    assert result.exit_code == failure.USAGE
    assert result.stderr.endswith("(CONSENT_NEEDED)\n")
    assert "--yes" in result.stderr
    assert "▸" not in result.stdout
    as_json = lines(run("do", TRAIN, "--json", "--server", address).stdout)
    assert as_json[-1]["error"]["reason"] == "CONSENT_NEEDED"  # type: ignore[index]


def test_a_question_that_nobody_answers_ends_with_3(run: Run, address: str) -> None:
    result = run("do", "show resnet500", "--server", address)
    assert result.exit_code == failure.NO_ANSWER
    assert "1. resnet50" in result.stdout


def test_a_refusal_ends_with_4(run: Run, address: str) -> None:
    result = run("do", "delete all my files", "--server", address)
    assert result.exit_code == failure.REFUSED


def test_an_answer_ends_with_0(run: Run, address: str) -> None:
    result = run("do", "谢谢", "--server", address)
    assert (result.exit_code, result.stdout) == (0, "不客气。\n")


def test_a_missing_token_is_reported(run: Run, address: str) -> None:
    state = Path(os.environ["NETGRAFT_STATE"])
    (state / "token").rename(state / "aside")
    result = run("do", EDIT, "--server", address)
    assert result.exit_code == failure.FAILED
    assert "`netgraft token`" in result.stderr


def test_the_conversation_is_kept_under_its_name(run: Run, address: str) -> None:
    words = ("--conversation", "mine", "--json", "--server", address)
    assert run("do", EDIT, *words).exit_code == 0
    again = run("do", "undo", *words)
    assert again.exit_code == 0, again.output
    assert "finished" in again.stdout


def on_a_terminal(words: list[str], typed: str) -> tuple[int, str]:
    """Run `netgraft` as a person does, who types this; its exit code and what they saw."""
    master, slave = pty.openpty()
    process = subprocess.Popen([NETGRAFT, *words], stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    os.write(master, typed.encode())
    seen = b""
    try:
        while part := os.read(master, 4096):
            seen += part
    except OSError:  # Linux: the other end was closed
        pass
    os.close(master)
    return process.wait(60), seen.decode()


def test_on_a_terminal_a_question_is_answered_by_its_number(address: str) -> None:
    words = ["do", "retarget resnet500 to 10 classes", "--server", address]
    code, seen = on_a_terminal(words, "1\n")
    assert code == 0, seen
    assert "Which one do you mean?" in seen
    assert "Linear(2048 → 10)" in seen


@pytest.mark.parametrize("typed", ["n\n", "\n"])
def test_on_a_terminal_consent_is_asked_and_no_is_the_default(address: str, typed: str) -> None:
    code, seen = on_a_terminal(["do", TRAIN, "--server", address], typed)
    assert code == failure.USAGE, seen
    assert "Carry it out?" in seen
    assert "▸" not in seen


def test_without_a_server_a_plan_is_carried_out_in_this_process(run: Run, state: Path) -> None:
    shown = run("do", "show resnet18, " + EDIT, "--weights", "none")
    assert shown.exit_code == 0, shown.output
    assert "fc: Linear(512 → 1000) → Linear(512 → 10)" in shown.stdout
    assert " -o graph.html" in shown.stdout, "how to see it where there is no page"
    assert "http" not in shown.stdout
    events = lines(run("do", "inspect resnet18, list my jobs", "--json").stdout)[1:]
    assert [next(iter(event)) for event in events] == ["started", "finished"] * 2


def test_without_a_server_a_conversation_continues(run: Run, state: Path) -> None:
    words = ("--conversation", "mine", "--weights", "none", "--json")
    made = lines(run("do", EDIT, *words).stdout)[-1]["finished"]
    undone = lines(run("do", "undo", *words).stdout)[-1]["finished"]
    assert undone["model_id"] == made["edit"]["model"]["parent_id"]  # type: ignore[index]


def test_without_a_server_a_step_that_fails_ends_with_1(run: Run, state: Path) -> None:
    result = run("do", "undo")
    assert result.exit_code == failure.FAILED
    assert "(NOTHING_CURRENT)" in result.stdout


def test_without_a_server_no_step_of_a_plan_that_trains_is_started_in_this_process(
    run: Run, state: Path
) -> None:
    result = run("do", TRAIN, "--yes", "--local")
    assert result.exit_code == failure.USAGE
    assert "leave --local out" in result.stderr
    assert "▸" not in result.stdout


def test_without_a_server_none_is_started_for_a_plan_without_consent(run: Run, state: Path) -> None:
    result = run("do", TRAIN)
    assert result.exit_code == failure.USAGE
    assert result.stderr.endswith("(CONSENT_NEEDED)\n")
    assert "Starting" not in result.stderr
