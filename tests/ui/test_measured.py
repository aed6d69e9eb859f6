"""What a model sees, and its figures, as the page shows them."""

from netgraft.language import Translator
from netgraft.ui.measured import below, measured
from netgraft.v1 import agent_pb2, tuning_pb2

SAY = Translator("en")


def test_pictures_come_with_bars_and_no_markup_of_their_names() -> None:
    likely = [tuning_pb2.Likely(name="<b>cat", probability=0.75)]
    seen = tuning_pb2.PredictReply(name="<i>.jpg", classes=likely, thumbnail=b"\xff\xd8")
    lost = tuning_pb2.PredictReply(name="bad.jpg", error="bad.jpg is not a picture.")
    found = agent_pb2.Predictions(pictures=[seen, lost], total=20, unreadable=1)
    shown = measured(agent_pb2.StepFinished(predictions=found), SAY)
    assert 'src="data:image/jpeg;base64,/9g="' in shown
    assert "width:75.0%" in shown
    assert "&lt;b&gt;cat" in shown
    assert "<b>cat" not in shown
    assert "<i>.jpg" not in shown
    assert "bad.jpg is not a picture." in shown
    assert "18 more" in shown


def evaluation(names: list[str], confusion: list[int]) -> agent_pb2.StepFinished:
    found = tuning_pb2.Evaluation(confusion=confusion, balanced_accuracy=0.5)
    found.classes.extend(tuning_pb2.ClassFigures(name=name) for name in names)
    found.mistakes.add(file="a.png", truth=names[0], said=names[1], probability=0.9)
    return agent_pb2.StepFinished(evaluation=found)


def test_figures_come_with_the_confusion_and_the_worst_mistakes() -> None:
    shown = measured(evaluation(["cat", "<dog>"], [3, 1, 0, 1234]), SAY)
    assert '<td class="right" style="--share:0.750">3</td>' in shown
    assert '<td class="wrong" style="--share:0.250">1</td>' in shown
    assert "1,234" in shown
    assert "<th>&lt;dog&gt;</th>" in shown
    assert "a.png: cat, taken for &lt;dog&gt; (90.0 %)" in shown


def test_of_many_classes_the_pairs_that_were_confused_are_listed() -> None:
    names = [f"class {index}" for index in range(20)]
    confusion = [0] * 400
    confusion[20 * 3 + 7] = 5
    shown = measured(evaluation(names, confusion), SAY)
    assert "<table" not in shown
    assert "class 3 taken for class 7: 5 ×" in shown


def test_other_steps_have_nothing_of_this() -> None:
    assert measured(agent_pb2.StepFinished(summary="s"), SAY) == ""


def test_pictures_are_named_without_the_servers_folders() -> None:
    assert below(["/srv/d/cats/1.jpg", "/srv/d/dogs/2.jpg"]) == ["cats/1.jpg", "dogs/2.jpg"]
    assert below(["/srv/d/1.jpg"]) == ["1.jpg"]
    assert below(["1.jpg", "/srv/2.jpg"]) == ["1.jpg", "/srv/2.jpg"]
    assert below(["a.jpg", "b/c.jpg"]) == ["a.jpg", "b/c.jpg"]
    assert below([]) == []
