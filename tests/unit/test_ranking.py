"""How far rankings repeat, agree with each other, and find the best: known numbers and planted rankings."""

from __future__ import annotations

import numpy as np
import pytest

from enas_core.analysis import ranking
from enas_core.analysis.ranking import agreement, split_half_reliability, top_k


def planted(accuracies: list[float], images: int, seed: int = 0) -> np.ndarray:
    """Answers [A, N] of candidates with these true accuracies."""
    return np.random.default_rng(seed).random((len(accuracies), images)) < np.array(accuracies)[:, None]


def test_reliability_of_noise_is_about_zero_and_its_interval_says_so():
    found = [split_half_reliability(planted([0.7] * 20, 300, seed)) for seed in range(40)]
    assert abs(np.mean([estimate.value for estimate in found])) < 0.2
    assert sum(estimate.low <= 0 <= estimate.high for estimate in found) >= 34


def test_a_perfect_order_is_perfectly_reliable():
    found = split_half_reliability(planted([0.05, 0.25, 0.5, 0.75, 0.95], 5_000))
    assert found.value == pytest.approx(1)
    assert found.low is None
    assert "order is the same" in found.reason


def test_agreement_between_seeds():
    scores = {f"{i}": i / 10 for i in range(8)}
    same = agreement([scores, scores])
    assert same.value == pytest.approx(1)
    opposite = agreement([scores, {arc: -score for arc, score in scores.items()}])
    assert opposite.value == pytest.approx(-1)
    # Spearman's coefficient of 1 2 3 4 5 and 2 1 4 3 5: 1 - 6 * 4 / (5 * 24)
    one, other = dict(zip("abcde", [1, 2, 3, 4, 5], strict=True)), dict(zip("abcde", [2, 1, 4, 3, 5], strict=True))
    two = agreement([one, other])
    assert two.value == pytest.approx(0.8)
    assert two.low < 0.8 < two.high
    assert agreement([one, other, one]).value == pytest.approx((0.8 + 0.8 + 1) / 3)
    assert agreement([one | {"z": 1.0}, other]) == two  # of the arcs that all have scored


def test_agreement_that_cannot_be_told():
    assert agreement([]).reason == "needs at least 2 search seeds, there are 0"
    assert agreement([{"a": 1.0}]).reason == "needs at least 2 search seeds, there is 1"
    assert agreement([{"a": 1.0}, {"a": 2.0}]).reason == "needs at least 3 random arcs, there is 1"
    flat = agreement([dict.fromkeys("abc", 1.0), {"a": 1.0, "b": 2.0, "c": 3.0}])
    assert flat.value is None
    assert "the same" in flat.reason
    few = agreement([{"a": 1.0, "b": 2.0, "c": 3.0}] * 2)
    assert (few.value, few.low) == (pytest.approx(1), None)


def test_intervals_hold_the_true_agreement():
    generator = np.random.default_rng(2)
    held, repeats = 0, 200
    true = 6 / np.pi * np.arcsin(0.6 / 2)  # of normal scores with correlation 0.6
    for _ in range(repeats):
        common = generator.normal(size=12)
        scores = [0.6**0.5 * common + 0.4**0.5 * generator.normal(size=12) for _ in range(2)]
        found = agreement([{f"{i}": value for i, value in enumerate(of_seed)} for of_seed in scores])
        held += found.low <= true <= found.high
    assert held >= 0.9 * repeats


def test_top_k():
    shared, test = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2], [0.5, 0.8, 0.9, 0.4, 0.3, 0.2, 0.1, 0.0]
    found = top_k(shared, test)
    assert (found.k, found.precision, found.regret) == (2, 0.5, pytest.approx(0.1))
    assert top_k(shared, test, 1)[:3] == (1, 0.0, pytest.approx(0.4))
    assert top_k(shared, test, 3)[:3] == (3, 1.0, 0.0)
    tied = top_k([0.9, 0.9, 0.1, 0.1], [0.2, 0.8, 0.5, 0.4])
    assert (tied.k, tied.precision, tied.regret) == (1, 0.0, pytest.approx(0.6))  # ties count against the ranking
    assert top_k([0.5, 0.5, 0.5], [0.1, 0.2, 0.3]).k is None
    assert top_k([0.5, 0.6], [0.1, 0.2]).reason == "needs at least 3 networks, there are 2"


def test_reliability_hardly_depends_on_the_order_of_images():
    answers = planted(np.linspace(0.6, 0.75, 20).tolist(), 300)
    order = np.random.default_rng(5).permutation(300)
    one, other = split_half_reliability(answers), split_half_reliability(answers[:, order])
    assert one.value == pytest.approx(other.value, abs=0.05)
    assert one.low == pytest.approx(other.low, abs=0.1)


def test_intervals_of_many_arcs_are_about_as_wide(monkeypatch: pytest.MonkeyPatch):
    """Leaving out a hundredth at a time says what leaving out one says."""
    generator = np.random.default_rng(3)
    quality = generator.normal(0, 1, 400)
    scores = [dict(enumerate(quality + generator.normal(0, 1, 400))) for _ in range(3)]
    in_groups = agreement(scores)
    monkeypatch.setattr(ranking, "MAX_GROUPS", 400)
    one_by_one = agreement(scores)
    assert in_groups.value == one_by_one.value
    assert in_groups.high - in_groups.low == pytest.approx(one_by_one.high - one_by_one.low, rel=0.25)
