"""Statistics against hand-computed numbers, invariances, and planted experiments with and without an effect."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enas_core.analysis import statistics
from enas_core.analysis.statistics import (
    MIN_RANDOM,
    MIN_SEARCHED,
    MIN_TAU_INTERVAL,
    Estimate,
    holm,
    kendall_tau,
    permutation_test,
    random_needed,
    relative_improvement,
    smallest_p,
    std,
    two_sided_p,
    unit_means,
)

accuracies = st.floats(0.1, 1.0).map(lambda value: round(value, 3))
random_values = st.lists(accuracies, min_size=MIN_RANDOM, max_size=MIN_RANDOM + 4)
searched_values = st.lists(accuracies, min_size=MIN_SEARCHED, max_size=MIN_SEARCHED + 2)


# --- numbers that are known ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("searched", "random", "expected"),
    [
        ([97.0], [96.5], 0.518),
        ([0.970], [0.960, 0.970, 0.965, 0.965], 0.518),
        ([0.9, 0.8], [0.8, 0.8], 6.25),
        ([0.9], [1.0], -10.0),
    ],
)
def test_relative_improvement(searched, random, expected):
    assert relative_improvement(searched, random).value == pytest.approx(expected, abs=5e-4)


def test_std():
    assert std([1.0, 2.0, 3.0, 4.0]) == pytest.approx(math.sqrt(5 / 3))
    assert std([0.97]) is None
    assert std([]) is None


@pytest.mark.parametrize(
    ("searched", "random", "expected"),
    [
        ([9], [1, 2, 3, 4, 5, 6, 7, 8], 1 / 9),
        ([5.5], [1, 2, 3, 4, 5, 6, 7, 8], 4 / 9),
        ([0], [1, 2, 3, 4, 5, 6, 7, 8], 1.0),
        ([8], [1, 2, 3, 4, 5, 6, 7, 8], 2 / 9),  # a tie counts against the searched one
        ([4, 5], [1, 2, 3], 1 / 10),
        ([3, 5], [1, 2, 4], 2 / 10),
        ([0.3, 0.3], [0.1, 0.5], 4 / 6),  # sums of equal value: {.3 .3} {.1 .5} and two of {.3 .5}
    ],
)
def test_permutation_p_value(searched, random, expected):
    assert permutation_test(searched, random).value == pytest.approx(expected)


def test_permutation_p_value_does_not_depend_on_rounding():
    assert permutation_test([0.1 + 0.2], [0.3, 0.3, 0.1]).value == pytest.approx(3 / 4)


@pytest.mark.parametrize(("searched", "random", "expected"), [(1, 8, 1 / 9), (2, 8, 1 / 45), (3, 8, 1 / 165)])
def test_smallest_p(searched, random, expected):
    assert smallest_p(searched, random) == pytest.approx(expected)
    found = permutation_test([2.0] * searched, np.linspace(0, 1, random).tolist())
    assert found.value == pytest.approx(expected)


@pytest.mark.parametrize(("searched", "expected"), [(1, 20), (2, 5), (3, 4)])
def test_random_needed(searched, expected):
    assert random_needed(searched) == expected
    assert smallest_p(searched, expected) < 0.05 <= smallest_p(searched, expected - 1)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1, 2, 3, 4, 5], [1, 2, 3, 5, 4], 0.8),
        ([1, 2, 2, 3], [1, 2, 3, 3], 0.8),  # 4 concordant pairs, a tie in each: 4 / sqrt(5 * 5)
        ([12, 2, 1, 12, 2], [1, 4, 7, 1, 0], -0.4714),  # from scipy's manual
        ([1, 2, 3], [3, 2, 1], -1.0),
    ],
)
def test_kendall_tau(x, y, expected):
    assert kendall_tau(x, y).value == pytest.approx(expected, abs=5e-5)


def test_kendall_interval_at_the_end_of_the_range():
    found = kendall_tau(range(9), range(9))
    assert found.value == found.high == 1.0
    assert 0.4 < found.low < 0.8


# --- too few to say ------------------------------------------------------------------------------


def test_one_found_network_against_eight():
    improvement = relative_improvement([0.97], [0.965] * 4 + [0.96] * 4)
    assert (improvement.low, improvement.high) == (None, None)
    assert improvement.reason == "an interval needs at least 4 searches and 8 random networks, there are 1 and 8"
    p = permutation_test([0.97], [0.965] * 4 + [0.96] * 4)
    assert p.value == pytest.approx(1 / 9)
    assert "cannot give less than 0.111" in p.reason
    assert "at least 20 random networks" in p.reason


@pytest.mark.parametrize("numbers", [(MIN_SEARCHED - 1, MIN_RANDOM), (MIN_SEARCHED, MIN_RANDOM - 1)])
def test_an_interval_needs_enough_of_both(numbers):
    values = [np.linspace(0.95, 0.97, count).tolist() for count in numbers]
    found = relative_improvement(*values)
    assert found.value is not None
    assert (found.low, found.high) == (None, None)
    assert "at least 4 searches and 8 random networks" in found.reason


@pytest.mark.parametrize(("searched", "random"), [([], [0.9] * 8), ([0.9], []), ([], [])])
def test_nothing_to_compare(searched, random):
    for found in (relative_improvement(searched, random), permutation_test(searched, random)):
        assert found[:3] == (None, None, None)
        assert f"{len(searched)} and {len(random)}" in found.reason


def test_enough_for_everything_leaves_no_reason():
    searched, random = [0.97, 0.971, 0.972, 0.973], np.linspace(0.95, 0.969, 8).tolist()
    assert relative_improvement(searched, random).reason == ""
    assert permutation_test(searched, random).reason == ""


def test_equal_values_have_no_interval():
    found = relative_improvement([0.97] * 4, [0.965] * 8)
    assert found.value == pytest.approx(0.518, abs=5e-4)
    assert found[1:] == (None, None, "no interval: too many networks have the same accuracy")


def test_accuracies_of_zero():
    assert relative_improvement([0.5], [0.0, 0.0]).value is None
    found = relative_improvement([0.0] * 4, [0.1] * 7 + [0.2])
    assert (found.value, found.low) == (-100.0, None)


@pytest.mark.parametrize(
    ("x", "y", "has_value", "part"),
    [
        ([], [], False, "at least 3 networks, there are 0"),
        ([1, 2], [1, 2], False, "at least 3 networks, there are 2"),
        ([1, 2, 3, 4], [1, 2, 4, 3], True, f"an interval needs at least {MIN_TAU_INTERVAL} networks, there are 4"),
        ([1] * 9, range(9), False, "the same accuracy"),
        (range(9), [1] * 9, False, "the same accuracy"),
    ],
)
def test_too_few_for_kendall_tau(x, y, has_value, part):
    found = kendall_tau(x, y)
    assert (found.value is not None) == has_value
    assert (found.low, found.high) == (None, None)
    assert part in found.reason


# --- what must not matter ------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, derandomize=True)
@given(searched_values, random_values, st.randoms())
def test_the_order_of_values_does_not_matter(searched, random, chance):
    def all_of(a, b):
        return relative_improvement(a, b), permutation_test(a, b), permutation_test(a, b, resamples=50), std(b)

    before = all_of(searched, random)
    chance.shuffle(searched)
    chance.shuffle(random)
    assert all_of(searched, random) == before


@settings(max_examples=25, deadline=None, derandomize=True)
@given(searched_values, random_values)
def test_percent_or_fraction_does_not_matter(searched, random):
    fraction = relative_improvement(searched, random)
    percent = relative_improvement([100 * value for value in searched], [100 * value for value in random])
    assert (fraction.low is None) == (percent.low is None)
    assert percent.value == pytest.approx(fraction.value, abs=1e-9)
    if fraction.low is not None:
        assert percent[1:3] == pytest.approx(fraction[1:3], rel=1e-6, abs=1e-9)
        assert fraction.low <= fraction.value <= fraction.high


@settings(derandomize=True)
@given(st.lists(st.tuples(st.sampled_from("abc"), accuracies), min_size=1, max_size=12), st.randoms())
def test_units_are_counted_once(rows, chance):
    """Order, names, and a table that is given twice leave the values of the units as they are."""

    def means(pairs):
        return unit_means([unit for unit, _ in pairs], [value for _, value in pairs])

    before = means(rows)
    assert len(before) == len({unit for unit, _ in rows})
    assert means([(f"other-{'cab'['abc'.index(unit)]}", value) for unit, value in rows]) == before
    assert means(rows + rows) == pytest.approx(before, rel=1e-15)
    chance.shuffle(rows)
    assert means(rows) == before


def test_holm():
    assert holm([]) == []
    assert holm([0.01]) == [0.01]
    # The smallest counts three times, the next one twice; none is below one that was smaller, or above 1.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_two_sided_p():
    assert two_sided_p([1, 2], [3, 4]) == two_sided_p([3, 4], [1, 2]) == pytest.approx(2 / 6)
    assert two_sided_p([1, 2], [1, 2]) == 1.0


def test_unit_means():
    assert unit_means(["b", "a", "b"], [0.25, 0.875, 0.75]) == [0.5, 0.875]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=5, max_size=12), st.randoms())
def test_kendall_invariances(pairs, chance):
    x, y = zip(*pairs, strict=True)
    found = kendall_tau(x, y)
    assert kendall_tau([math.exp(v / 9) for v in x], [v**3 for v in y]) == found
    assert kendall_tau(y, x)[:3] == (found[:3] if found.value is None else pytest.approx(found[:3], abs=2e-4))
    mirrored = kendall_tau(x, [-value for value in y])
    chance.shuffle(pairs)
    assert kendall_tau(*zip(*pairs, strict=True)) == found
    if found.value is None:
        assert mirrored.value is None
    else:
        assert mirrored[:3] == pytest.approx((-found.value, -found.high, -found.low), abs=2e-4)
        assert -1 <= found.low <= found.value <= found.high <= 1


# --- planted experiments -------------------------------------------------------------------------


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 12), min_size=5, max_size=9), st.integers(1, 3))
def test_the_exact_p_value_holds_its_promise_without_an_effect(pool, size):
    """Whoever of the pool is the searched one by chance: P(p <= a) <= a for every a, ties or not."""
    p_values = []
    for chosen in itertools.combinations(range(len(pool)), size):
        rest = [pool[i] for i in range(len(pool)) if i not in chosen]
        p_values.append(permutation_test([pool[i] for i in chosen], rest).value)
    for a in p_values:
        assert np.mean(np.array(p_values) <= a) <= a + 1e-12


def draw(generator, shape, mean, deviation, skewed=False):
    """Accuracies; skewed: with a tail of bad ones, as random networks have."""
    unit = (2 - generator.gamma(4, 0.5, shape)) if skewed else generator.standard_normal(shape)
    return (mean + deviation * unit).tolist()


@pytest.mark.parametrize(
    ("searched", "random", "resamples"), [(1, 8, 9_999), (3, 8, 9_999), (1, 30, 9_999), (5, 8, 199)]
)
def test_p_values_without_an_effect(searched, random, resamples):
    """In the last case from random permutations: there are 1,287."""
    generator, runs = np.random.default_rng(1), 2_000
    p_values = np.array(
        [
            permutation_test(draw(generator, searched, 0.96, 0.004), draw(generator, random, 0.96, 0.004), resamples)[0]
            for _ in range(runs)
        ]
    )
    for a in (0.01, 0.05, 0.1, 0.2, 0.5, 0.9):
        assert np.mean(p_values <= a) <= a + 3 * math.sqrt(a * (1 - a) / runs)
    assert np.mean(p_values <= 0.5) > 0.4  # and not by never being small


def test_a_planted_effect_is_found():
    generator, runs = np.random.default_rng(2), 100
    found = 0
    for _ in range(runs):
        searched, random = draw(generator, 4, 0.970, 0.002), draw(generator, 8, 0.960, 0.003, skewed=True)
        improvement = relative_improvement(searched, random)
        found += permutation_test(searched, random).value < 0.05 and improvement.low > 0
    assert found > 0.9 * runs


@pytest.mark.parametrize(
    ("searched", "random", "deviations", "skewed"),
    [
        (MIN_SEARCHED, MIN_RANDOM, (0.002, 0.003), False),
        (MIN_SEARCHED, MIN_RANDOM, (0.001, 0.004), True),
        (5, 20, (0.004, 0.002), False),
    ],
)
def test_intervals_of_the_improvement_cover(searched, random, deviations, skewed):
    generator, runs, truth = np.random.default_rng(3), 400, 100 * (0.97 / 0.965 - 1)
    held = 0
    for _ in range(runs):
        found = relative_improvement(
            draw(generator, searched, 0.970, deviations[0]), draw(generator, random, 0.965, deviations[1], skewed)
        )
        held += found.low <= truth <= found.high
    assert 0.925 <= held / runs <= 0.985


@pytest.mark.parametrize("number", [MIN_TAU_INTERVAL, 9, 20])
@pytest.mark.parametrize("tau", [0.0, 0.4, 0.8])
def test_intervals_of_kendall_tau_cover(number, tau):
    generator, runs, correlation = np.random.default_rng(4), 400, math.sin(math.pi * tau / 2)
    held = 0
    for _ in range(runs):
        x, noise = generator.standard_normal((2, number))
        y = correlation * x + math.sqrt(1 - correlation**2) * noise
        found = kendall_tau(x.tolist(), y.tolist())
        held += found.low <= tau <= found.high
    assert 0.93 <= held / runs <= 0.995


def test_estimates_are_repeated_exactly_in_another_process():
    code = (
        "import sys; from enas_core.analysis import statistics as stats;"
        " heavy = {'scipy', 'torch', 'pandas'} & set(sys.modules); assert not heavy, heavy;"
        " print(repr(stats.relative_improvement([.97, .971, .973, .974], [.95 + i / 500 for i in range(8)])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = relative_improvement([0.97, 0.971, 0.973, 0.974], [0.95 + i / 500 for i in range(8)])
    assert done.stdout.strip() == repr(expected)
    assert isinstance(expected, Estimate)


@pytest.mark.parametrize("at_a_time", [1, 333, 10**9])
def test_how_many_values_are_drawn_at_a_time_does_not_matter(monkeypatch, at_a_time):
    generator = np.random.default_rng(0)
    searched, random = (list(generator.normal(0.6, 0.05, count)) for count in (5, 30))
    expected = permutation_test(searched, random), relative_improvement(searched, random)
    monkeypatch.setattr(statistics, "VALUES_AT_A_TIME", at_a_time)
    assert (permutation_test(searched, random), relative_improvement(searched, random)) == expected
