"""The probe: the best head on given features, by the strength that cross-validation chooses."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score
from torch import Tensor

from netgraft.tuning.train.calibration import fit_temperature, score, sign_test
from netgraft.tuning.train.folds import stratified
from netgraft.tuning.train.probe import LARGEST, MOST_CLASSES, Probed, mirror_hurts, probe


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # tests run side by side


def digits(pictures: int, classes: int = 10) -> tuple[Tensor, Tensor]:
    """Real features: the pixels of scanned digits."""
    found = load_digits(n_class=classes)
    chosen = slice(0, pictures)
    return torch.tensor(found.data[chosen]).float(), torch.tensor(found.target[chosen]).long()


def probed(
    features_NF: Tensor, labels_N: Tensor, classes: int, criterion: str = "accuracy"
) -> Probed:
    return probe(features_NF, labels_N, classes, stratified(labels_N.tolist()), criterion)


@pytest.mark.parametrize(("pictures", "classes"), [(60, 2), (300, 2), (50, 3), (120, 10)])
def test_the_head_is_the_one_that_scikit_learn_finds(pictures: int, classes: int) -> None:
    features_NF, labels_N = digits(pictures, classes)
    found = probed(features_NF, labels_N, classes)
    deviation_F = features_NF.double().std(0, correction=0)
    standard_NF = (features_NF.double() - features_NF.double().mean(0)) / deviation_F.where(
        deviation_F > 0, torch.ones(())
    )
    # Two rows of a softmax are penalised by half of what one row for both is.
    c = found.c * (2 if classes == 2 else 1)
    theirs = LogisticRegression(C=c, tol=1e-10, solver="newton-cholesky")
    theirs.fit(standard_NF, labels_N)
    expected = torch.tensor(theirs.decision_function(standard_NF))
    logits_NK = (features_NF @ found.weight.T + found.bias).double()
    if classes == 2:
        torch.testing.assert_close(logits_NK[:, 1] - logits_NK[:, 0], expected, atol=1e-3, rtol=0)
        return
    centred_NK = logits_NK - logits_NK.mean(1, keepdim=True)
    torch.testing.assert_close(
        centred_NK, expected - expected.mean(1, keepdim=True), atol=1e-3, rtol=0
    )


def test_the_strongest_of_equally_good_regularisations_is_chosen() -> None:
    features_NF, labels_N = digits(200, 2)
    found = probed(features_NF, labels_N, 2)
    best = max(value for _, value in found.scores)
    equal = [c for c, value in found.scores if value >= best - 1e-9]
    assert len(found.scores) >= 20
    assert len(equal) > 1
    assert found.c == pytest.approx(min(equal))


def test_digits_are_told_apart_and_the_same_input_gives_the_same_bits() -> None:
    features_NF, labels_N = digits(700)
    found, again = (probed(features_NF, labels_N, 10) for _ in range(2))
    assert found.accuracy.value > 0.95
    assert found.accuracy.value == float((found.logits.argmax(1) == labels_N).double().mean())
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high
    assert 0.2 < found.temperature < 5
    others_NF, others_N = (part[700:] for part in digits(1797))
    right = (others_NF @ found.weight.T + found.bias).argmax(1) == others_N
    assert right.double().mean() > 0.9
    for name in ("weight", "bias", "logits"):
        assert torch.equal(getattr(found, name), getattr(again, name))
    assert (found.temperature, found.c) == (again.temperature, again.c)


def test_classes_with_one_picture_or_none_do_no_harm() -> None:
    features_NF, labels_N = digits(120, 3)
    kept = (labels_N != 2) | (torch.arange(120) == int((labels_N == 2).nonzero()[0]))
    found = probed(features_NF[kept], labels_N[kept], 5)
    logits_NK = features_NF[kept] @ found.weight.T + found.bias
    assert (logits_NK.argmax(1) == labels_N[kept]).all()
    assert found.logits.isfinite().all()
    assert not found.logits[labels_N[kept] == 2].argmax(1).eq(2).any()
    assert found.accuracy.value > 0.9
    assert 0.05 <= found.temperature <= 5


def test_an_imbalanced_set_can_be_chosen_on_balanced_accuracy() -> None:
    features_NF, labels_N = digits(1797)
    kept = (labels_N == 8) | ((labels_N == 9) & (torch.arange(1797) % 12 == 0))
    features_NF, labels_N = features_NF[kept], (labels_N[kept] == 9).long()
    found = probed(features_NF, labels_N, 2, "balanced_accuracy")
    predicted_N = found.logits.argmax(1)
    assert found.score == pytest.approx(balanced_accuracy_score(labels_N, predicted_N))
    assert found.score < found.accuracy.value


@pytest.mark.parametrize("criterion", ["accuracy", "balanced_accuracy", "macro_f1"])
def test_scores_are_those_of_scikit_learn(criterion: str) -> None:
    random = np.random.default_rng(0)
    labels, predicted = random.integers(0, 4, 60), random.integers(0, 4, 60)
    theirs = {
        "accuracy": float((labels == predicted).mean()),
        "balanced_accuracy": balanced_accuracy_score(labels, predicted),
        "macro_f1": f1_score(labels, predicted, labels=range(4), average="macro"),
    }
    ours = score(torch.tensor(predicted)[:, None], torch.tensor(labels), 5, criterion)
    assert float(ours) == pytest.approx(theirs[criterion])


def test_of_many_pictures_and_classes_a_sample_chooses() -> None:
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.arange(1_600) % 50
    means_KF = torch.randn(50, 16, generator=generator)
    features_NF = means_KF[labels_N] + 0.3 * torch.randn(1_600, 16, generator=generator)
    found = probed(features_NF, labels_N, 50)
    pictures, classes = found.chosen_on
    assert classes == MOST_CLASSES
    assert pictures * classes <= LARGEST * 1.05
    assert found.weight.shape == (50, 16)
    assert found.accuracy.value > 0.9


def test_what_cannot_be_probed_is_refused() -> None:
    features_NF, labels_N = digits(40, 2)
    with pytest.raises(ValueError, match="two classes"):
        probed(features_NF, torch.zeros(40, dtype=torch.long), 2)
    with pytest.raises(ValueError, match="finite"):
        probed(features_NF / 0, labels_N, 2)


def test_mirroring_hurts_digits_and_not_what_is_symmetric() -> None:
    features_NF, labels_N = digits(400)
    mirrored_NF = features_NF.unflatten(1, (8, 8)).flip(2).flatten(1)
    folds_NS = stratified(labels_N.tolist())
    some = torch.arange(0, 400, 2)
    found = probe(features_NF, labels_N, 10, folds_NS, "accuracy")
    assert mirror_hurts(features_NF, mirrored_NF[some], some, labels_N, folds_NS[:, 0], found)
    both_NF = features_NF + mirrored_NF
    same = probe(both_NF, labels_N, 10, folds_NS, "accuracy")
    assert not mirror_hurts(both_NF, both_NF[some], some, labels_N, folds_NS[:, 0], same)


def test_the_sign_test_is_the_binomial_tail() -> None:
    assert sign_test(0, 0) == 1
    assert sign_test(5, 0) == pytest.approx(1 / 32)
    assert sign_test(3, 1) == pytest.approx(5 / 16)


def test_the_temperature_undoes_too_much_confidence() -> None:
    generator = torch.Generator().manual_seed(0)
    logits_NK = 2 * torch.randn(20_000, 4, generator=generator)
    labels_N = torch.multinomial(logits_NK.softmax(1), 1, generator=generator)[:, 0]
    assert fit_temperature(3 * logits_NK, labels_N) == pytest.approx(3, rel=0.05)
    assert fit_temperature(logits_NK / 2, labels_N) == pytest.approx(0.5, rel=0.05)


def test_folds_spread_classes_and_keep_groups_together() -> None:
    labels = [0] * 40 + [1] * 12
    groups = [f"patient {index // 4}" for index in range(52)]
    folds_NS = stratified(labels, groups, folds=4, rounds=3)
    assert folds_NS.shape == (52, 3)
    assert torch.equal(folds_NS, stratified(labels, groups, folds=4, rounds=3))
    assert not torch.equal(folds_NS[:, 0], folds_NS[:, 1])
    for folds_N in folds_NS.T:
        assert all(len(set(folds_N[at : at + 4].tolist())) == 1 for at in range(0, 52, 4))
        large, small = (folds_N[torch.tensor(labels) == k].bincount(minlength=4) for k in (0, 1))
        assert large.max() - large.min() <= 4
        assert small.max() - small.min() <= 4
    alone = stratified([0] * 10 + [1] * 7, folds=5, rounds=1)[:, 0]
    assert alone[:10].bincount().tolist() == [2] * 5
    assert sorted(alone[10:].bincount(minlength=5).tolist()) == [1, 1, 1, 2, 2]
