"""The steps: those of the contract, each carried out in its own way, all checked in one place."""

from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor

from netgraft.agent.forms import fingerprint
from netgraft.agent.handlers import carry_out
from netgraft.agent.steps import STEPS, Finetune, Retarget, Show, Step, consent_needed, types_of
from netgraft.agent.validation import check, steps_of
from netgraft.errors import InvalidRequest
from netgraft.v1 import agent_pb2

TYPES = {
    FieldDescriptor.TYPE_STRING: str,
    FieldDescriptor.TYPE_INT64: int,
    FieldDescriptor.TYPE_DOUBLE: float,
}
MAKES_MODEL = {"retarget", "freeze", "unfreeze", "set_loss", "undo", "finetune"}
"""These steps produce a model; the others do not."""
NEEDS_CONSENT = {"finetune", "resume", "cancel"}
"""These steps need consent."""


def test_the_steps_are_those_of_the_contract_field_by_field() -> None:
    fields = agent_pb2.Step.DESCRIPTOR.fields
    assert [field.name for field in fields] == sorted(STEPS, key=[f.name for f in fields].index)
    for field in fields:
        said = {
            one.name: tuple if one.is_repeated else TYPES[one.type]
            for one in field.message_type.fields
        }
        assert types_of(field.name) == said, field.name


def test_what_makes_a_model_and_what_needs_consent_is_as_the_contract_says() -> None:
    assert {name for name, step in STEPS.items() if step.makes_model} == MAKES_MODEL
    assert {name for name, step in STEPS.items() if step.needs_consent} == NEEDS_CONSENT
    assert consent_needed([Show(), Finetune(data="digits"), Retarget(classes=2)]) == [2]


def test_every_step_is_carried_out_by_a_function_of_its_own() -> None:
    handlers = {name: carry_out.dispatch(step) for name, step in STEPS.items()}
    nobody = carry_out.dispatch(Step)
    assert nobody not in handlers.values()
    assert len(set(handlers.values())) == len(STEPS)


def test_what_was_said_is_what_is_not_none() -> None:
    assert Retarget(model="resnet18", class_names=("cat", "dog")).said() == {
        "model": "resnet18",
        "class_names": ("cat", "dog"),
    }
    assert Show().said() == {}


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ({}, "“steps” must be a list."),
        ([], "a plan has 1 to 100 steps, not 0."),
        (["undo"], 'step 1 must be an object with one action, such as {"show": '),
        ([{"undo": {}, "show": {}}], "step 1 must be an object with one action"),
        ([{"undo": {}}, {"explode": {}}], "step 2: there is no action 'explode'; the actions are"),
        ([{"undo": 3}], "step 1: undo must be an object of fields, not 3."),
        ([{"undo": {"layer": "fc"}}], "step 1: undo has no field 'layer'; its fields are model."),
        ([{"show": {"model": 50}}], "step 1: show.model must be a text, not 50."),
        (
            [{"retarget": {"classes": "many"}}],
            "step 1: retarget.classes must be a whole number, not 'many'.",
        ),
        ([{"retarget": {"classes": 2.5}}], "retarget.classes must be a whole number, not 2.5."),
        ([{"retarget": {"classes": True}}], "retarget.classes must be a whole number, not True."),
        ([{"retarget": {"class_names": "cat"}}], "class_names must be a list of texts, not 'cat'."),
        ([{"freeze": {"layers": ["fc", 1]}}], "freeze.layers must be a list of texts"),
        ([{"finetune": {"data": "d", "lr": "fast"}}], "finetune.lr must be a number, not 'fast'."),
        ([{"finetune": {"data": "d", "lr": float("inf")}}], "finetune.lr must be between"),
        ([{"finetune": {"data": "d", "lr": float("nan")}}], "finetune.lr must be between"),
        ([{"retarget": {"classes": 2**53 + 1}}], "retarget.classes must be between -9007199254"),
        ([{"finetune": {"epochs": 2}}], "step 1: finetune needs data."),
        ([{"retarget": {}}], "step 1: retarget needs classes or class_names."),
        ([{"compare": {}}], "step 1: compare needs a or b."),
        ([{"show": {"model": "$1"}}], "step 1 refers to '$1', which is no earlier step."),
        ([{"show": {}}, {"undo": {"model": "$1"}}], "refers to $1, but show makes no model."),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_plan_is_one_sentence(steps: Any, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        steps_of(steps)
    problem = str(caught.value.values["problem"])
    assert sentence in problem
    assert problem.endswith(".")
    assert "\n" not in problem


def test_typed_steps_are_checked_the_same_way() -> None:
    with pytest.raises(InvalidRequest, match="step 1: retarget needs classes or class_names"):
        check([Retarget()])
    with pytest.raises(InvalidRequest, match="step 2 refers to '\\$2'"):
        check([Show(), Show(model="$2")])


def test_numbers_and_names_may_come_as_protobuf_writes_them() -> None:
    [step] = steps_of([{"finetune": {"data": "d", "batchSize": "32", "lr": 1, "epochs": 2.0}}])
    assert step == Finetune(data="d", batch_size=32, lr=1.0, epochs=2)
    assert isinstance(step, Finetune)
    assert (type(step.lr), type(step.epochs)) == (float, int)
    assert fingerprint([step]) == fingerprint([Finetune(data="d", batch_size=32, lr=1, epochs=2)])


def test_null_is_a_field_that_was_not_said() -> None:
    assert steps_of([{"show": {"model": None}}]) == (Show(),)
