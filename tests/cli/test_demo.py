"""The demo, as far as it can be seen without starting everything; the whole is in tests/e2e."""

from pathlib import Path

import pytest

from netgraft.cli.commands.demo import MODEL, SENTENCE, local_weights
from netgraft.cli.services import InProcessServices
from netgraft.v1 import agent_pb2

ROOT = Path(__file__).parents[2]
FILE = "resnet18-f37072fd.pth"


@pytest.fixture
def checkpoints(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torch.hub keeps weights; empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch/hub/checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_it_starts_from_random_weights_instead_of_downloading(checkpoints: Path) -> None:
    assert local_weights(InProcessServices()) == "none"


def test_it_takes_the_pretrained_weights_that_are_on_this_machine(checkpoints: Path) -> None:
    (checkpoints / FILE).touch()
    assert local_weights(InProcessServices()) == "pretrained"


def test_weights_of_a_larger_model_of_the_family_are_not_its_own(checkpoints: Path) -> None:
    (checkpoints / "resnet50-11ad3fa6.pth").touch()
    assert local_weights(InProcessServices()) == "none"


def test_its_sentence_needs_no_question(state: Path) -> None:
    reply = InProcessServices().agent.Plan(agent_pb2.PlanRequest(text=SENTENCE))
    assert reply.kind == "plan"
    show, retarget, finetune = reply.steps
    assert (show.show.model, retarget.retarget.classes) == (MODEL, 10)
    assert (finetune.finetune.epochs, finetune.finetune.workers) == (2, 1)


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readmes_contain_its_sentence(name: str) -> None:
    assert f"\n> {SENTENCE}\n" in (ROOT / name).read_text()
