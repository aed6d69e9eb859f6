"""The training step on tiny models: it learns, repeats, and leaves alone what is frozen."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from netgraft.models.losses.catalogue import fitting
from netgraft.tuning.tasks.classification import TASK, every_logits
from netgraft.tuning.train.mixing import mixed
from netgraft.tuning.train.pilot import Form, measure, step_seconds
from netgraft.tuning.train.rates import Rates
from netgraft.tuning.train.schedule import Schedule, restarts, rounds
from netgraft.tuning.train.step import Diverged, Learner, StepConfig, train_only

STEPS = 30
CPU = torch.device("cpu")


class Tiny(nn.Module):
    """A convolution, a batch norm, dropout and a head."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2)
        )
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(32, classes)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.head(self.drop(self.body(x_NCHW).flatten(1)))


class Hungry(Tiny):
    """Fails for more than 3 pictures, by an allocation that no machine can make."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        if len(x_NCHW) > 3:
            torch.empty(2**62, dtype=torch.uint8)
        return super().forward(x_NCHW)


def tiny(seed: int = 0) -> Tiny:
    torch.manual_seed(seed)
    return Tiny()


def batches(count: int = STEPS, size: int = 12) -> list[tuple[Tensor, Tensor]]:
    """Noise; the channel that is brighter than the other two is the class."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for _ in range(count):
        labels_N = torch.randint(0, 3, (size,), generator=generator)
        x_NCHW = torch.randn(size, 3, 8, 8, generator=generator)
        x_NCHW[torch.arange(size), labels_N] += 2
        made.append((x_NCHW, labels_N))
    return made


def learner(module: nn.Module, **options: object) -> Learner:
    criterion = TASK.criterion(str(options.pop("loss", "cross_entropy")))
    peak = float(options.pop("peak", 0.01))
    head = options.pop("head", ())
    config = StepConfig(schedule=Schedule(peak, 3, STEPS), **options)
    return Learner(module, TASK, criterion, config, device=CPU, head=head)


def train(taught: Learner, data: list[tuple[Tensor, Tensor]] | None = None) -> list[float]:
    return [float(taught.step(batch)) for batch in data or batches()]


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_the_loss_falls_with_every_optimizer(optimizer: str) -> None:
    taught = learner(tiny(), optimizer=optimizer, peak=0.05 if optimizer == "sgd" else 0.01)
    losses = train(taught)
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    assert taught.measure(batches(3)).metrics["accuracy"] > 0.9


@pytest.mark.parametrize("loss", fitting("classification"))
def test_every_loss_trains(loss: str) -> None:
    losses = train(learner(tiny(), loss=loss))
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_the_same_seed_gives_the_same_weights_to_the_bit() -> None:
    first, second, other = (learner(tiny(), seed=seed) for seed in (4, 4, 5))
    for taught in (first, second, other):
        train(taught)
    assert all(
        torch.equal(value, second.module.state_dict()[name])
        for name, value in first.module.state_dict().items()
    )
    assert not torch.equal(first.module.head.weight, other.module.head.weight)


def test_a_restored_run_ends_with_the_weights_of_an_undisturbed_one() -> None:
    data = batches()
    undisturbed = learner(tiny())
    train(undisturbed, data)
    broken = learner(tiny())
    train(broken, data[:11])
    again = learner(tiny(seed=9))
    again.restore(broken.state())
    train(again, data[11:])
    for name, value in undisturbed.module.state_dict().items():
        assert torch.equal(value, again.module.state_dict()[name]), name


def test_what_is_frozen_stays_equal_to_the_bit() -> None:
    module = tiny()
    module.body.requires_grad_(False)
    before = weights(module)
    train(learner(module))
    after = module.state_dict()
    frozen = [name for name in before if name.startswith("body")]
    assert any("running_mean" in name for name in frozen)
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert not torch.equal(before["head.weight"], after["head.weight"])


def test_statistics_move_where_a_norm_trains_and_stay_to_the_bit_where_it_is_frozen() -> None:
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Conv2d(i, 4, 3), nn.BatchNorm2d(4)) for i in (3, 4)]
    module = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(4 * 16, 3))
    module[0].requires_grad_(False)
    before = weights(module)
    train(learner(module), batches(3))
    kept = {n for n, v in module.state_dict().items() if torch.equal(v, before[n])}
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert {f"0.1.{name}" for name in statistics} <= kept
    assert not {f"1.1.{name}" for name in statistics} & kept


def test_a_norm_without_parameters_is_frozen_with_its_parent() -> None:
    module = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False)),
        nn.Sequential(nn.Flatten(), nn.Linear(4 * 36, 3)),
    )
    module[0].requires_grad_(False)
    before = weights(module)
    train(learner(module))
    assert torch.equal(before["0.1.running_mean"], module.state_dict()["0.1.running_mean"])


def test_a_probe_trains_the_head_alone() -> None:
    module = tiny()
    train_only(module, ["head"])
    before = weights(module)
    train(learner(module))
    changed = {n for n, v in module.state_dict().items() if not torch.equal(v, before[n])}
    assert changed == {"head.weight", "head.bias"}


def test_training_nothing_is_an_error() -> None:
    module = tiny()
    train_only(module, ["body.nowhere"])
    with pytest.raises(ValueError, match="no parameter"):
        learner(module)


def test_the_head_can_learn_faster_than_the_rest() -> None:
    taught = learner(tiny(), head=("head",), rates=Rates(head=10.0))
    taught.step(batches(1)[0])
    rates = {group["times"]: group["lr"] for group in taught.optimizer.param_groups}
    assert rates[10.0] == pytest.approx(10 * rates[1.0])


def test_biases_and_norms_are_not_decayed() -> None:
    decay = {
        tuple(parameter.shape): group["weight_decay"]
        for group in learner(tiny()).optimizer.param_groups
        for parameter in group["params"]
    }
    assert decay[(8, 3, 3, 3)] > 0
    assert decay[(8,)] == 0


def test_the_rate_warms_up_and_falls_as_a_cosine() -> None:
    schedule = Schedule(peak=1.0, warmup_steps=10, total_steps=110)
    rates = [schedule.rate(step) for step in range(110)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == rates[10] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_bf16_autocast_trains_and_keeps_fp32_weights() -> None:
    taught = learner(tiny(), precision="bf16")
    losses = train(taught)
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    assert taught.module.head.weight.dtype == torch.float32


def test_auxiliary_heads_take_part_in_the_loss() -> None:
    class Two(Tiny):
        def __init__(self) -> None:
            super().__init__()
            self.auxiliary = nn.Linear(32, 3)

        def forward(self, x_NCHW: Tensor) -> tuple[Tensor, Tensor] | Tensor:
            x_NC = self.body(x_NCHW).flatten(1)
            return (self.head(x_NC), self.auxiliary(x_NC)) if self.training else self.head(x_NC)

    taught = learner(Two())
    before = taught.module.auxiliary.weight.clone()
    train(taught, batches(3))
    assert not torch.equal(before, taught.module.auxiliary.weight)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_the_named_outputs_of_torchvision_are_understood(name: str) -> None:
    from torchvision import models

    with torch.device("meta"):
        make: Callable[..., nn.Module] = getattr(models, name)
        module = make(weights=None, num_classes=7, aux_logits=True, init_weights=False)
        logits = every_logits(module.train()(torch.zeros(2, 3, 299, 299)))
    assert [tuple(tensor.shape) for tensor in logits] == [(2, 7)] * (
        3 if name == "googlenet" else 2
    )


def test_measuring_changes_nothing_and_adds_up() -> None:
    taught = learner(tiny())
    before = weights(taught.module)
    whole = taught.measure(batches(4))
    parts = [taught.measure([batch]) for batch in batches(4)]
    assert whole.correct == sum(part.correct for part in parts)
    assert whole.loss == pytest.approx(sum(part.loss for part in parts))
    assert all(torch.equal(v, before[n]) for n, v in taught.module.state_dict().items())


def test_what_a_measurement_sees_is_averaged_and_settled_and_it_only_reads() -> None:
    taught = learner(tiny())
    train(taught, batches(5))
    before, averages = weights(taught.module), dict(taught.averages.state())
    averages = {name: value.clone() for name, value in averages.items()}
    with taught.measurable(batches(4)):
        inside = weights(taught.module)
        measured = taught.measure(batches(3)).metrics["accuracy"]
    assert measured > 0.5
    after = weights(taught.module)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(torch.equal(averages[n], v) for n, v in taught.averages.state().items())
    assert torch.equal(inside["head.weight"], averages["head.weight"])
    assert not torch.equal(inside["head.weight"], before["head.weight"])
    train(taught, batches(6)[5:])
    other = learner(tiny())
    train(other, batches(6))
    assert all(
        torch.equal(v, other.module.state_dict()[n]) for n, v in weights(taught.module).items()
    )


def test_settled_norms_have_the_plain_mean_of_the_batches_statistics() -> None:
    taught = learner(tiny())
    data = batches(3)
    with torch.no_grad():
        seen = [taught.module.body[0](x_NCHW) for x_NCHW, _ in data]
    with taught.measurable(data):
        norm = taught.module.body[1]
        means = torch.stack([x_NCHW.mean((0, 2, 3)) for x_NCHW in seen])
        assert torch.allclose(norm.running_mean, means.mean(0), atol=1e-5)
    assert taught.module.body[1].momentum == 0.1


def test_frozen_norms_are_not_settled() -> None:
    module = tiny()
    module.body.requires_grad_(False)
    taught = learner(module)
    before = weights(module)
    with taught.measurable(batches(2)):
        assert torch.equal(module.body[1].running_mean, before["body.1.running_mean"])


def test_a_batch_in_parts_has_the_gradient_of_the_whole() -> None:
    module = tiny()
    module.body[1] = nn.Identity()
    module.drop.p = 0.0
    whole, parted = learner(module), learner(copy.deepcopy(module), accumulate=5)
    for batch in batches(3):
        assert float(whole.step(batch)) == pytest.approx(float(parted.step(batch)), abs=1e-5)
    assert torch.allclose(whole.module.head.weight, parted.module.head.weight, atol=1e-4)


def test_too_little_memory_halves_the_parts_until_they_fit_and_stays_so() -> None:
    torch.manual_seed(0)
    hungry = Hungry()
    hungry.body[1], hungry.drop.p = nn.Identity(), 0.0
    fed = copy.deepcopy(hungry)
    fed.__class__ = Tiny
    taught, peer = learner(hungry), learner(fed, accumulate=4)
    train(taught, batches(3))
    train(peer, batches(3))
    assert taught.parts == 4
    assert all(
        torch.equal(a, b) for a, b in zip(hungry.parameters(), fed.parameters(), strict=True)
    )
    resumed = learner(copy.deepcopy(fed))
    resumed.restore(taught.state())
    assert resumed.parts == 4
    small = [(x_NCHW[:4], labels_N[:4]) for x_NCHW, labels_N in batches(1)]
    train(learner(copy.deepcopy(hungry)), small)
    hungry.head = nn.Linear(2, 3)
    with pytest.raises(RuntimeError, match="shapes"):
        learner(hungry).step(batches(1)[0])


def test_a_pilot_takes_for_ever_where_memory_does_not_suffice() -> None:
    form = Form("fp32", "contiguous")
    whole = batches(1)[0]
    criterion = nn.CrossEntropyLoss()

    def seconds(given: tuple[Tensor, Tensor]) -> float:
        return step_seconds(Hungry(), TASK, criterion, given, CPU, form)

    assert seconds(whole) == math.inf
    assert seconds((whole[0][:3], whole[1][:3])) < math.inf
    assert measure([form, Form("fp32", "channels_last")], lambda _: math.inf)[form] == math.inf


def test_mixed_pictures_teach_and_draw_by_the_step_alone() -> None:
    first, second = learner(tiny(), mixup=0.4), learner(tiny(), mixup=0.4)
    losses = train(first)
    assert losses == train(second)
    assert losses != train(learner(tiny()))
    assert first.measure(batches(3)).metrics["accuracy"] > 0.9


def test_a_blend_has_the_blend_of_both_losses() -> None:
    x_NCHW, labels_N = batches(1)[0]
    torch.manual_seed(5)
    blend = mixed((x_NCHW, labels_N), 0.4)
    torch.manual_seed(5)
    soft = mixed((x_NCHW, one_hot(labels_N, 3).float()), 0.4)
    logits_NK = torch.randn(len(labels_N), 3)
    target_NK = torch.lerp(soft.other, soft.batch[1], soft.share)
    expected = nn.functional.cross_entropy(logits_NK, target_NK)
    found = blend.criterion(TASK.criterion("cross_entropy"))(logits_NK, labels_N)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_other_weights_can_be_held_and_leave_no_trace() -> None:
    taught, other = learner(tiny()), tiny(7)
    train(taught, batches(2))
    before = weights(taught.module)
    with taught.holding(other.state_dict(), batches(2)):
        assert torch.equal(taught.module.head.weight, other.head.weight)
        assert not torch.equal(taught.module.body[1].running_mean, other.body[1].running_mean), (
            "settled"
        )
    assert digest_of(weights(taught.module)) == digest_of(before)


def digest_of(values: dict[str, Tensor]) -> list[bytes]:
    return [value.numpy().tobytes() for value in values.values()]


def test_rounds_begin_at_the_peak_and_end_low() -> None:
    assert [rounds(epochs) for epochs in (1, 3, 4, 12)] == [[1], [3], [2, 4], [2, 6, 12]]
    schedule = Schedule(1.0, 2, 120, restarts=restarts([2, 6, 12], per_epoch=10))
    assert [schedule.rate(step) for step in (2, 20, 60)] == [1.0, 1.0, 1.0]
    assert max(schedule.rate(step) for step in (19, 59, 119)) < 0.02


def test_a_step_that_meets_no_number_is_not_taken() -> None:
    taught = learner(tiny())
    train(taught, batches(2))
    before = weights(taught.module)
    x_NCHW, labels_N = batches(1)[0]
    with pytest.raises(Diverged, match="nan"):
        taught.step((x_NCHW * float("nan"), labels_N))
    after = weights(taught.module)
    assert taught.steps == 2
    assert all(torch.equal(before[n], after[n]) for n, _ in taught.module.named_parameters())


def test_early_layers_move_less_than_late_ones_and_the_head_as_it_is_told() -> None:
    module = nn.ModuleList(nn.Linear(2, 2) for _ in range(20))
    times = Rates(head=3.0, lowest=0.1).of(module, ["19"])
    body = [times[f"{index}.weight"] for index in range(19)]
    assert body == sorted(body)
    assert (body[0], body[-1], times["19.bias"]) == (pytest.approx(0.1), 1.0, 3.0)
    assert set(Rates().of(module, ["19"]).values()) == {1.0}
