"""What decides in a run: held-back pictures, and no difference that chance makes."""

from netgraft.tuning.workers.choosing import (
    Decisions,
    could_be_beyond_chance,
    criterion,
    is_beyond_chance,
)


def answers(right: int, total: int = 40) -> list[bool]:
    return [index < right for index in range(total)]


def test_only_a_difference_beyond_chance_is_one() -> None:
    assert is_beyond_chance(answers(40), answers(35))
    assert not is_beyond_chance(answers(40), answers(36))
    assert not is_beyond_chance(answers(35), answers(35))
    assert not is_beyond_chance(answers(30), answers(40))
    mixed = [not right for right in answers(20)]
    assert not is_beyond_chance(mixed, answers(20)), "as many lost as won"


def test_nothing_can_be_shown_to_be_better_than_what_hardly_errs() -> None:
    assert could_be_beyond_chance(answers(35))
    assert not could_be_beyond_chance(answers(36))
    assert not could_be_beyond_chance([])


def test_imbalanced_classes_are_judged_by_the_mean_of_their_recalls() -> None:
    assert criterion([50, 60, 70]) == "accuracy"
    assert criterion([900, 20, 30, 10]) == "balanced_accuracy"


def test_of_equal_figures_the_lower_loss_is_better_and_a_task_may_have_none_but_loss() -> None:
    decisions = Decisions().with_best("a", 1, {"accuracy": 0.9, "loss": 0.3}, answers(36))
    assert decisions.is_better({"accuracy": 0.9, "loss": 0.2})
    assert not decisions.is_better({"accuracy": 0.9, "loss": 0.3})
    assert not decisions.is_better({"accuracy": 0.89, "loss": 0.1})
    other = Decisions().with_best("a", 1, {"loss": 0.3}, [])
    assert other.is_better({"loss": 0.2})
    waited = decisions.with_worse().with_worse()
    assert waited.waited == 2
    assert Decisions.from_plain(waited.plain()) == waited
    assert waited.with_best("b", 4, {"accuracy": 1.0, "loss": 0.1}, []).waited == 0
