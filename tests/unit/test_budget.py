"""Random search at equal hours: closed forms against brute force, intervals that hold, columns with their reasons."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import row_of

from enas_core.analysis.budget import (
    at_equal_hours,
    choice_probabilities,
    expected_best,
    gain_over,
    outcomes,
    paid_networks,
    why_no_interval,
    with_interval,
)
from enas_core.analysis.comparison import summarise
from enas_core.analysis.sentences import about_equal_hours
from enas_core.analysis.statistics import mean_difference
from enas_core.settings.networks import NamedNetwork, random_network, searched_network

few = st.integers(0, 4).map(lambda value: value / 4)
"""Accuracies of which several are equal."""
arcs = st.lists(st.tuples(few, few), min_size=1, max_size=7)


def all_choices(pairs: list[tuple[float, float]], k: int) -> list[list[float]]:
    """For each choice of k arcs, the test accuracies of those with the best validation accuracy."""
    chosen = []
    for choice in itertools.combinations(pairs, k):
        best = max(valid for valid, _ in choice)
        chosen.append([test for valid, test in choice if valid == best])
    return chosen


def columns(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [valid for valid, _ in pairs], [test for _, test in pairs]


# --- closed forms --------------------------------------------------------------------------------


@pytest.mark.parametrize(("num_arcs", "k"), [(1, 1), (5, 1), (5, 3), (5, 5), (48, 16), (630, 600)])
def test_choice_probabilities(num_arcs, k):
    exact = [Fraction(math.comb(num_arcs - 1 - i, k - 1), math.comb(num_arcs, k)) for i in range(num_arcs)]
    assert sum(exact) == 1
    assert choice_probabilities(num_arcs, k) == pytest.approx([float(p) for p in exact], rel=1e-9, abs=1e-300)


@settings(deadline=None)
@given(arcs, st.data())
def test_the_expectation_is_the_mean_over_all_choices(pairs, data):
    k = data.draw(st.integers(1, len(pairs)))
    brute_force = np.mean([np.mean(tied) for tied in all_choices(pairs, k)])
    assert expected_best(*columns(pairs), k).value == pytest.approx(brute_force)


@settings(deadline=None)
@given(arcs, st.data())
def test_outcomes_are_quantiles_of_all_choices(pairs, data):
    k = data.draw(st.integers(1, len(pairs)))
    weights: dict[float, Fraction] = {}
    choices = all_choices(pairs, k)
    for tied in choices:
        for test in tied:
            weights[test] = weights.get(test, Fraction(0)) + Fraction(1, len(tied) * len(choices))

    def quantile(share: Fraction) -> float:
        reached = Fraction(0)
        for test in sorted(weights):
            reached += weights[test]
            if reached >= share:
                return test
        raise AssertionError

    expected = quantile(Fraction(25, 1000)), quantile(Fraction(975, 1000))
    assert outcomes(*columns(pairs), k) == expected


@settings(deadline=None)
@given(arcs, st.randoms())
def test_order_does_not_matter(pairs, rng):
    k = (len(pairs) + 1) // 2
    shuffled = list(pairs)
    rng.shuffle(shuffled)
    assert expected_best(*columns(shuffled), k) == pytest.approx(expected_best(*columns(pairs), k))
    assert outcomes(*columns(shuffled), k) == outcomes(*columns(pairs), k)


def test_one_arc_is_a_random_one_and_all_are_the_best():
    valid, test = [0.1, 0.3, 0.2], [0.5, 0.6, 0.7]
    assert expected_best(valid, test, 1).value == pytest.approx(0.6)
    assert expected_best(valid, test, 3).value == pytest.approx(0.6)  # the best by validation accuracy, not by test
    assert expected_best(valid, test, 2).value == pytest.approx((2 * 0.6 + 0.7) / 3)


@given(st.lists(few, min_size=2, max_size=20))
def test_more_arcs_are_no_worse_where_validation_is_right(values):
    expected = [expected_best(values, values, k).value for k in range(1, len(values) + 1)]
    assert all(b >= a - 1e-12 for a, b in itertools.pairwise(expected))
    assert expected[-1] == pytest.approx(max(values))


# --- intervals -----------------------------------------------------------------------------------


def test_the_error_of_one_arc_is_that_of_a_mean():
    generator = np.random.default_rng(0)
    test = generator.normal(0.6, 0.02, 20)
    found = expected_best(generator.random(20).tolist(), test.tolist(), 1)
    assert found.error == pytest.approx(np.std(test, ddof=1) / math.sqrt(20))
    assert found.degrees == 19
    assert expected_best(test.tolist(), test.tolist(), 8).degrees == 2.5


def test_the_gain_over_one_arc_is_welchs():
    generator = np.random.default_rng(1)
    test, searched = generator.normal(0.6, 0.02, 20).tolist(), generator.normal(0.63, 0.01, 4).tolist()
    gain = gain_over(expected_best(test, test, 1), searched)
    welch = mean_difference(searched, test)
    assert gain[:3] == pytest.approx(welch[:3])


def test_intervals_need_twice_as_many_arcs():
    assert why_no_interval(24, 12) == ""
    assert why_no_interval(24, 13) == "an interval needs at least 26 random arcs, there are 24"
    assert why_no_interval(7, 1) == "an interval needs at least 12 random arcs, there are 7"
    assert "there is 1" in why_no_interval(1, 1)


def planted(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Validation and test accuracies of arcs whose true accuracies both measure with noise."""
    true = generator.normal(0.64, 0.015, count)
    return true + generator.normal(0, 0.007, count), true + generator.normal(0, 0.005, count)


@pytest.mark.parametrize(("count", "k"), [(24, 6), (24, 12), (48, 16)])
def test_intervals_hold_what_other_arcs_would_have_given(count, k):
    generator = np.random.default_rng(2)
    valid, test = planted(generator, 40_000 * k)
    chosen = valid.reshape(-1, k).argmax(axis=1)
    truth = test.reshape(-1, k)[np.arange(len(chosen)), chosen].mean()
    held = 0
    for _ in range(300):
        interval = with_interval(expected_best(*map(np.ndarray.tolist, planted(generator, count)), k))
        held += interval.low <= truth <= interval.high
    assert 0.92 < held / 300 < 0.995


def test_groups_of_many_arcs_give_about_the_same_error(monkeypatch):
    generator = np.random.default_rng(3)
    valid, test = (values.tolist() for values in planted(generator, 400))
    monkeypatch.setattr("enas_core.analysis.budget.MAX_GROUPS", 400)
    one_by_one = expected_best(valid, test, 40)
    monkeypatch.undo()
    in_groups = expected_best(valid, test, 40)
    assert in_groups.value == one_by_one.value
    assert in_groups.degrees == one_by_one.degrees == 10
    assert in_groups.error == pytest.approx(one_by_one.error, rel=0.3)


# --- columns of the comparison -------------------------------------------------------------------


def row(network: NamedNetwork, **values: Any) -> dict[str, Any]:
    about = {"network": network.name, "role": network.role, "search_seed": network.search_seed}
    about |= {"seed": 1, "seconds": 100.0}
    return row_of("metrics", **about | values)


def experiment(found: int = 4, random: int = 24, search: float = 250.0, select: float | None = 75.0):
    """Rows of metrics: random arcs 0.50, 0.51, ... whose validation accuracy is the test accuracy less 0.01."""
    rows = [row(random_network(i), test_accuracy=0.5 + i / 100, valid_accuracy=0.49 + i / 100) for i in range(random)]
    for i in range(found):
        of_search = {"search_seconds": search, "select_seconds": select, "valid_accuracy": 0.7}
        rows.append(row(searched_network(i), test_accuracy=0.78 + i / 1000, **of_search))
    return rows


def test_what_equal_hours_pay_for():
    """Search and selection cost as much as three trainings and a quarter, and the found network is trained too."""
    found, reasons = at_equal_hours(experiment())
    assert found["equal_hours_k"] == 4
    test = [0.5 + i / 100 for i in range(24)]
    assert found["equal_hours_accuracy"] == pytest.approx(expected_best(test, test, 4).value)
    assert found["equal_hours_low"] < found["equal_hours_accuracy"] < found["equal_hours_high"]
    assert found["equal_hours_gain"] == pytest.approx(0.7815 - found["equal_hours_accuracy"])
    assert 0 < found["gain_low"] < found["equal_hours_gain"] < found["gain_high"]
    assert reasons == {}
    assert at_equal_hours(experiment(select=None))[0]["equal_hours_k"] == 3
    assert at_equal_hours(experiment(search=1.0, select=None))[0]["equal_hours_k"] == 1


def test_all_augment_seeds_are_paid_for_and_averaged():
    twice = [
        r | {"seed": seed, "test_accuracy": r["test_accuracy"] + change, "valid_accuracy": r["valid_accuracy"] - change}
        for r in experiment()
        for seed, change in ((1, 0.01), (2, -0.01))
    ]
    (one, *_), (two, *_) = paid_networks(experiment(), "searched"), paid_networks(twice, "searched")
    assert (one.hours, two.hours) == (pytest.approx(425 / 3600), pytest.approx(525 / 3600))
    assert two.test_accuracy == pytest.approx(one.test_accuracy)
    found, _ = at_equal_hours(twice)
    assert found["equal_hours_k"] == 2  # 525 s where a random arc costs 200 s


NO_IMAGES = "needs validation images (augment.valid_images), by which the best of several is chosen"


@pytest.mark.parametrize(
    ("metrics", "known", "reason"),
    [
        (experiment(random=0), {}, "needs searched and random networks, there are 4 and 0"),
        (experiment(found=0), {}, "needs searched and random networks, there are 0 and 24"),
        ([r | {"seconds": None} for r in experiment()], {}, "the hours of the searches or trainings are not known"),
        ([r | {"valid_accuracy": None} for r in experiment()], {"equal_hours_k": 4}, NO_IMAGES),
        (experiment(random=3), {"equal_hours_k": 4}, "as many hours pay for 4 random arcs, there are 3"),
    ],
)
def test_what_is_null_has_a_reason(metrics, known, reason):
    found, reasons = at_equal_hours(metrics)
    assert {column: value for column, value in found.items() if value is not None} == known
    assert set(reasons.values()) == {reason}
    row, all_reasons = summarise(metrics)
    assert {column: row[column] for column in found} == found
    assert reason in about_equal_hours(row, all_reasons)


def test_too_few_arcs_for_an_interval():
    found, reasons = at_equal_hours(experiment(random=7))
    assert found["equal_hours_gain"] > 0
    assert found["gain_low"] is found["equal_hours_low"] is None
    assert set(reasons) == {"equal_hours_accuracy", "equal_hours_gain"}
    found, reasons = at_equal_hours(experiment(found=1))
    assert found["equal_hours_low"] is not None
    assert found["gain_low"] is None
    assert reasons == {"equal_hours_gain": "an interval needs at least 3 searches, there is 1"}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (0.0, "the search has bought more than its hours"),
        (-0.2, "the search has bought less than its hours"),
        (-0.12, "that the search has bought anything is not shown"),
    ],
)
def test_the_sentence_answers(change, verdict):
    metrics = [
        r | {"test_accuracy": r["test_accuracy"] + change} if r["role"] == "searched" else r for r in experiment()
    ]
    text = about_equal_hours(*summarise(metrics))
    assert text.startswith("random search at equal hours, the best of 4 random arcs by validation accuracy, reaches 0.")
    assert text.endswith(verdict)
    assert "points [" in text
