"""The pilot that chooses number format and memory layout, on times that are given."""

from collections.abc import Sequence

from netgraft.tuning.train.pilot import MOST_ROUNDS, ROUNDS, Form, fastest, measure

PLAIN = Form("fp32", "contiguous")
LAST = Form("fp32", "channels_last")
SHORT = Form("bf16", "channels_last")
FORMS = (PLAIN, LAST, SHORT)
LONG_RUN = 10_000


class Clock:
    """Steps that take the seconds given for each form, one after another; then the last."""

    def __init__(self, **seconds: Sequence[float]) -> None:
        forms = {"plain": PLAIN, "last": LAST, "short": SHORT}
        self.times = {forms[name]: list(each) for name, each in seconds.items()}
        self.asked: list[Form] = []

    def __call__(self, form: Form) -> float:
        self.asked.append(form)
        left = self.times[form]
        return left.pop(0) if len(left) > 1 else left[0]


def test_a_form_far_behind_is_measured_once() -> None:
    clock = Clock(plain=[3.6], last=[1.0], short=[1.0, 0.5])
    assert fastest(measure(FORMS, clock, steps=LONG_RUN)) == SHORT
    assert clock.asked.count(PLAIN) == 1


def test_forms_take_turns_and_one_disturbed_round_does_not_decide() -> None:
    clock = Clock(plain=[1.3], last=[1.0], short=[2.0, 1.5, 0.8, 1.6])
    assert fastest(measure(FORMS, clock, steps=LONG_RUN)) == SHORT
    assert clock.asked[:6] == [*FORMS, *FORMS]
    assert clock.asked.count(SHORT) == 1 + ROUNDS


def test_forms_that_are_alike_are_measured_at_most_so_often_and_the_plainer_is_taken() -> None:
    clock = Clock(plain=[1.0], last=[1.02], short=[1.05, 0.99])
    assert fastest(measure(FORMS, clock, steps=LONG_RUN)) == PLAIN
    assert clock.asked.count(PLAIN) == 1 + MOST_ROUNDS


def test_a_short_run_is_not_spent_on_measuring() -> None:
    clock = Clock(plain=[1.5], last=[1.0], short=[1.2])
    assert fastest(measure(FORMS, clock, steps=18)) == LAST
    assert len(clock.asked) == 6


def test_all_ranks_measure_as_often_by_the_sums_of_their_times() -> None:
    shared: list[list[float]] = []

    def leading(own: Sequence[float]) -> list[float]:
        shared.append([mine + 0.5 for mine in own])
        return shared[-1]

    first = Clock(plain=[1.0], last=[0.7, 0.6], short=[0.4])
    measured = measure(FORMS, first, leading, steps=LONG_RUN)
    second = Clock(plain=[0.5], last=[0.5], short=[0.5])
    replayed = iter(shared)
    assert measure(FORMS, second, lambda _: next(replayed), steps=LONG_RUN) == measured
    assert second.asked == first.asked
