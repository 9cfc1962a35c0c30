"""The signal check on planted answers: its numbers, its verdicts, and what they do not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from enas_core.analysis.signal import (
    VERDICTS,
    beyond_guessing,
    chance_level,
    check,
    num_above_chance,
    odds_ratio,
    sentence,
    spread_against_noise,
)
from enas_core.files.schemas import SCHEMAS


def planted(accuracies: list[float], images: int, seed: int = 0) -> np.ndarray:
    """Answers [A, N] of candidates with these true accuracies."""
    return np.random.default_rng(seed).random((len(accuracies), images)) < np.array(accuracies)[:, None]


def balanced(images: int, classes: int = 10) -> np.ndarray:
    return np.arange(images) % classes


def verdicts(accuracies: list[float], images: int, repeats: int) -> list[str]:
    return [check(planted(accuracies, images, seed), balanced(images))["verdict"] for seed in range(repeats)]


def test_guessing_candidates_are_at_chance():
    assert set(verdicts([0.1] * 20, 300, 50)) == {"at chance"}


def test_a_reliable_order_at_chance_is_at_chance():
    """The case of the issue: candidates 0.11 to 0.20 where guessing gives 0.10."""
    row = check(planted(np.linspace(0.08, 0.22, 20).tolist(), 3_000), balanced(3_000))
    assert row["reliability_low"] > 0.5
    assert row["spread_p"] < 1e-6
    assert row["num_above_chance"] > 5
    assert row["verdict"] == "at chance"


def test_equal_candidates_that_have_learned_are_noise():
    found = verdicts([0.7] * 20, 300, 100)
    assert found.count("order is noise") >= 93
    assert "at chance" not in found


def test_a_planted_order_repeats():
    assert set(verdicts(np.linspace(0.55, 0.85, 20).tolist(), 300, 30)) == {"order repeats"}


def test_few_candidates_can_be_told_apart():
    assert check(planted([0.4, 0.6, 0.8], 500), balanced(500))["verdict"] == "order repeats"


def test_identical_candidates():
    row = check(np.repeat(planted([0.8], 300), 12, axis=0), balanced(300))
    assert row["verdict"] == "order is noise"
    assert row["spread_ratio"] is row["spread_p"] is row["reliability"] is None
    assert row["remark"] == "all arcs are right on the same images"


def test_one_candidate_has_no_order():
    row = check(planted([0.8], 300), balanced(300))
    assert row["verdict"] == "order is noise"
    assert row["remark"] == "needs at least 3 arcs, there is 1"


def test_one_candidate_that_stands_out_is_no_order():
    answers = planted([0.2, *[0.8] * 30], 300, 3)
    row = check(answers, balanced(300))
    assert row["spread_p"] < 1e-6
    assert row["reliability_low"] < 0
    assert row["verdict"] == "order is noise"


def test_answering_the_commonest_class_is_guessing():
    labels = np.array([0] * 240 + [1] * 60)
    assert chance_level(labels) == 0.8
    answers = np.tile(labels == 0, (8, 1))
    answers ^= np.random.default_rng(0).random(answers.shape) < 0.02
    row = check(answers, labels)
    assert (row["verdict"], row["chance"], row["num_above_chance"]) == ("at chance", 0.8, 0)


def test_one_class_alone():
    row = check(np.ones((4, 50), bool), np.zeros(50, int))
    assert (row["verdict"], row["odds_ratio"]) == ("at chance", 0.0)


def test_odds():
    assert odds_ratio(0.1, 0.1) == pytest.approx(1)
    assert odds_ratio(2 / 3, 0.5) == pytest.approx(2)
    assert odds_ratio(1.0, 0.5) == math.inf
    assert odds_ratio(0.0, 0.5) == 0


def test_candidates_above_chance_are_counted_exactly():
    # P(X >= 9) = 0.0107 and P(X >= 10) = 0.00098 of 10 fair coins; Holm: 2 * 0.00098, then 1 * 0.0107
    answers = np.arange(10)[None] < np.array([[10], [9]])
    assert num_above_chance(answers, 0.5) == 2
    assert num_above_chance(np.vstack([answers, np.zeros((8, 10), bool)]), 0.5) == 1


def test_false_findings_above_chance_are_rare():
    wrong = sum(num_above_chance(planted([0.1] * 30, 300, seed), 0.1) > 0 for seed in range(200))
    assert wrong <= 200 * 0.05 + 3 * (200 * 0.05 * 0.95) ** 0.5


@pytest.mark.parametrize(
    ("accuracy", "images", "chance", "beyond"),
    [
        (0.10, 5_000, 0.10, False),
        (0.15, 5_000, 0.10, False),  # beyond doubt more than guessing, and next to nothing
        (0.20, 5_000, 0.10, True),
        (0.20, 20, 0.10, False),  # four right of twenty
        (0.03, 5_000, 0.01, True),
        (0.60, 5_000, 0.50, False),
        (0.70, 5_000, 0.50, True),
        (1.0, 100, 1.0, False),
    ],
)
def test_beyond_guessing(accuracy, images, chance, beyond):
    assert beyond_guessing(accuracy, images, chance) is beyond


# --- spread ------------------------------------------------------------------------------------


def test_spread_is_cochrans_q():
    """Example with 3 treatments: Q = 2 (3 sum G^2 - (sum G)^2) / (3 sum L - sum L^2)."""
    answers = np.array([[1, 1, 0, 1, 1, 0, 1, 1], [0, 1, 0, 0, 1, 0, 1, 0], [0, 1, 0, 0, 0, 0, 1, 0]], bool)
    totals, of_images = answers.sum(1), answers.sum(0)
    q = 2 * (3 * (totals**2).sum() - totals.sum() ** 2) / (3 * of_images.sum() - (of_images**2).sum())
    assert spread_against_noise(answers).ratio == pytest.approx(q / 2)


@pytest.mark.parametrize("alike", [0.0, 0.8])
def test_equal_candidates_have_a_spread_ratio_of_one(alike):
    """Also when half of the candidates answer nearly the same as each other, and images differ in difficulty."""
    generator = np.random.default_rng(1)
    ratios, wrong, repeats = [], 0, 300
    for _ in range(repeats):
        easy = generator.beta(2, 1, 200)
        answers = generator.random((12, 200)) < easy
        shared = generator.random(200) < easy
        copied = generator.random((6, 200)) < alike
        answers[:6] = np.where(copied, shared, answers[:6])
        found = spread_against_noise(answers)
        ratios.append(found.ratio)
        wrong += found.p < 0.05
    assert np.mean(ratios) == pytest.approx(1, abs=0.1)
    assert wrong <= repeats * 0.05 + 3 * (repeats * 0.05 * 0.95) ** 0.5


# --- properties --------------------------------------------------------------------------------

answers_and_labels = st.tuples(st.integers(1, 8), st.integers(1, 40)).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.bool_, shape), hnp.arrays(np.int64, shape[1], elements=st.integers(0, 3)), st.randoms()
    )
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(answers_and_labels)
def test_ranges_and_invariance(drawn):
    answers, labels, random = drawn
    row = check(answers, labels)
    of_the_selection = {"experiment", "dataset", "seed", "seconds"}
    assert set(row) | of_the_selection == set(SCHEMAS["signal"].names)
    assert row["verdict"] in VERDICTS
    assert sentence(row["verdict"], row)
    assert 0 < row["chance"] <= 1
    assert row["candidates_low"] <= row["candidates_mean"] + 1e-12
    assert row["candidates_mean"] <= row["candidates_high"] + 1e-12
    assert 0 <= row["num_above_chance"] <= len(answers)
    assert row["spread_p"] is None or 0 <= row["spread_p"] <= 1
    assert row["reliability"] is None or -1 - 1e-9 <= row["reliability"] <= 1 + 1e-9
    if row["reliability_low"] is not None:
        assert row["reliability_low"] - 1e-9 <= row["reliability"] <= row["reliability_high"] + 1e-9
    assert (row["reliability"] is None) <= bool(row["remark"])

    candidates, images = list(range(len(answers))), list(range(len(labels)))
    random.shuffle(candidates)
    random.shuffle(images)
    assert check(answers[candidates], labels) == pytest.approx(row, nan_ok=True)
    # Other halves of the images are drawn then, so the reliability is nearly the same, and all else exactly.
    moved = check(answers[:, images], labels[images])
    inexact = {name for name in row if name.startswith("reliability")} | {"verdict", "remark"}
    exact = {name: value for name, value in row.items() if name not in inexact}
    assert {name: moved[name] for name in exact} == pytest.approx(exact, nan_ok=True)
