"""`netgraft --help` is there at once, and no command pays for what it does not use."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from netgraft.cli import main
from netgraft.cli.program import COMMANDS
from netgraft.running import announced

from .conftest import Run
from .server import serving

NETGRAFT = str(Path(sys.executable).with_name("netgraft"))
HEAVY = {"torch", "ray", "grpc", "pydantic", "sqlalchemy", "rich", "google.protobuf"}

WORKERS = {
    *("torch", "ray", "numpy", "sqlalchemy", "rapidfuzz", "fsspec"),
    *("netgraft.serving.servicers", "netgraft.store.store", "netgraft.surgery", "netgraft.graph"),
}
"""What a server loads, so that its clients need not."""


def cpu_seconds(*words: str) -> float:
    """What a call costs, whatever else the machine does meanwhile."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([NETGRAFT, *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_costs_less_than_four_tenths_of_a_second() -> None:
    assert min(cpu_seconds("--help") for _ in range(3)) < 0.4


PROCESS = """
import json, sys
from netgraft.cli import main

for line in json.loads(sys.argv[1]):
    if line.startswith("import "):
        exec(line)
    else:
        main(line.split(), standalone_mode=False)
    print("\\f", *sys.modules, "\\f")
"""


def loaded(*lines: str, state: Path) -> list[set[str]]:
    """Modules that one new process has loaded by the end of each of these commands and imports.

    Each adds to those before it: what a later one has not loaded, no earlier one has.
    """
    command = [sys.executable, "-c", PROCESS, json.dumps(lines)]
    environment = {**os.environ, "NETGRAFT_STATE": str(state)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *pieces, _ = done.stdout.split("\f")
    for line, said in zip(lines, pieces[::2], strict=True):
        model = "" if line.startswith("import ") else (line.split()[1:2] or [""])[0]
        assert model.partition("@")[0].strip("-") in said.lower(), line
    return [set(modules.split()) for modules in pieces[1::2]]


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    for modules in loaded("--help", "--version", "retarget --help", state=tmp_path):
        assert HEAVY & modules == set()


FOREIGN = {"timm", "transformers", "sklearn", "scipy", "pandas", "ray", "gradio", "onnxruntime"}
"""Needed for no model of torchvision, and heavy."""
COMPUTING = {"torch", "torchvision", "numpy", "sympy", "onnx", "PIL", "safetensors"}
"""Needed to find something out, not to say what was found out before."""


def test_what_was_found_out_once_is_said_again_without_torch(tmp_path: Path) -> None:
    """Three models, so that each first command finds something out."""
    imports, *first = loaded(
        "import torch, torchvision",
        "retarget resnet18@none --classes 7",
        "show resnet34@none",
        "inspect squeezenet1_1@none",
        state=tmp_path,
    )
    compiler = ("torch._inductor", "torch._functorch", "torch.export", "torch._export", "networkx")
    assert {name for name in first[0] - imports if name.startswith(compiler)} == set()
    assert [FOREIGN & modules for modules in first] == [set()] * 3
    later = (
        "models resnet50",
        "show resnet34@none",
        "inspect squeezenet1_1@none",
        "retarget resnet18@none --classes 8",
        "retarget resnet18@none --class-names cat,dog",
    )
    again = dict(zip(later, loaded(*later, state=tmp_path), strict=True))
    heavy = COMPUTING | FOREIGN
    assert {line: heavy & modules for line, modules in again.items() if heavy & modules} == {}


def test_with_a_server_a_command_loads_nothing_that_works(state: Path) -> None:
    lines = (
        "retarget squeezenet1_1@none --classes 3",
        "inspect squeezenet1_1@none",
        "show squeezenet1_1@none",
        "plan hello",
        "models squeezenet",
        "jobs",
    )
    with serving() as address, announced(address, "http://127.0.0.1:7860", "test"):
        every = loaded(*lines, state=state)
    assert [WORKERS & modules for modules in every] == [set()] * len(lines)
    assert all({"grpc", "netgraft.client"} <= modules for modules in every)


@pytest.mark.parametrize("word", COMMANDS)
def test_every_command_has_help_and_examples(word: str) -> None:
    result = CliRunner().invoke(main, [word, "--help"])
    assert result.exit_code == 0, result.output
    examples = result.output.partition("Examples:")[2]
    assert f"netgraft {word}" in examples


@pytest.mark.parametrize(
    ("language", "heading"), [("en_GB.UTF-8", "Commands"), ("zh_CN.UTF-8", "命令")]
)
def test_help_names_every_command_in_both_languages(run: Run, language: str, heading: str) -> None:
    shown = run("--help", env={"LC_ALL": language}).stdout
    assert heading in shown
    assert [word for word in COMMANDS if f"  {word} " not in shown] == []


def test_help_is_written_in_the_language_of_a_process() -> None:
    environment = {**os.environ, "LC_ALL": "zh_CN.UTF-8", "PYTHONUTF8": "1"}
    line = [NETGRAFT, "--help"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert "命令" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(run: Run, shell: str) -> None:
    done = run("completion", shell)
    assert done.exit_code == 0, done.output
    assert "_NETGRAFT_COMPLETE" in done.stdout
    assert f"{shell}_complete" in done.stdout


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("netgraft ret", "retarget"),
        ("netgraft inspect resnet15", "resnet152"),
        ("netgraft show timm/convnext_tin", "timm/convnext_tiny"),
        ("netgraft diff resnet18 resnet3", "resnet34"),
        ("netgraft finetune --epo", "--epochs"),
        ("netgraft set-loss resnet18 fo", "focal"),
        ("netgraft export resnet18 --format saf", "safetensors"),
    ],
)
def test_the_shell_completes(run: Run, line: str, expected: str) -> None:
    done = run(env=completing(line))
    assert done.exit_code == 0, done.output
    assert f"plain,{expected}" in done.stdout.splitlines()


def completing(line: str) -> dict[str, str]:
    """The environment in which bash asks what the last word of a line may become."""
    words = str(len(line.split()) - 1)
    return {"_NETGRAFT_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": words}


def test_the_shell_is_answered_by_the_command_itself() -> None:
    environment = {**os.environ, **completing("netgraft ret")}
    done = subprocess.run([NETGRAFT], env=environment, capture_output=True, text=True, check=True)
    assert "plain,retarget" in done.stdout.splitlines()


def test_no_word_at_all_prints_the_help(run: Run) -> None:
    done = run()
    assert done.exit_code == 0
    assert done.stdout.startswith("Usage: netgraft")
