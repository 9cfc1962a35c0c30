"""Random search at equal hours: what the hours of a search would have bought without one (`enas_core.compare`).

Random *search* trains k random arcs and takes the one that has the best validation accuracy. What it reaches is known
from n >= k arcs that are trained already: the mean over all choices of k of them, in closed form, as Dodge et al. 2019
("Show Your Work") do it, but without replacement, since nobody trains the same arc twice. Test accuracy chooses
nothing, it is only what is reported.

Both sides end with one trained network, and all that it took counts: for a found one its search, its selection and its
own training, for random search the trainings of all k arcs. Several augment seeds of an arc are one network: the mean
of their accuracies, and the sum of their hours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from enas_core.analysis.results import Row
from enas_core.analysis.statistics import LEVEL, Estimate, mean_of_known, std

MIN_ARCS_INTERVAL = 12
"""Random arcs that an interval of the expectation needs."""

MIN_FOUND_INTERVAL = 3
"""Found networks that the interval of a gain needs. In simulations with three to eight, half to twice as spread as the
arcs, 95 % intervals held the true gain in 92 to 98 % of cases; with two in 88 to 97 %."""

LARGEST_SHARE = 0.5
"""No interval where k is more than this share of the arcs: choices of nearly all arcs hardly differ from each other,
which says nothing about how far other arcs would have led."""

MAX_GROUPS = 100
"""So many times arcs are left out at most."""

Array = NDArray[np.float64]


def choice_probabilities(num_arcs: int, k: int) -> Array:
    """How probable it is that each of `num_arcs` arcs, the best first, is the best one of k that are drawn without
    replacement: C(num_arcs - 1 - i, k - 1) / C(num_arcs, k) for the arc i, counted from 0."""
    i = np.arange(num_arcs - 1)
    ratios = np.maximum(num_arcs - k - i, 0) / (num_arcs - 1 - i)
    return np.concatenate([[1.0], np.cumprod(ratios)]) * k / num_arcs


def _best_first(valid: Sequence[float], test: Sequence[float]) -> tuple[Array, Array]:
    """Test accuracies in order of validation accuracy, the best first, and the same with the mean of their ties in
    place of those that tie: each of them is as likely to be chosen."""
    pairs = sorted(zip(valid, test, strict=True), reverse=True)
    ordered = np.array([accuracy for _, accuracy in pairs])
    _, group = np.unique([-accuracy for accuracy, _ in pairs], return_inverse=True)
    means = np.bincount(group, ordered) / np.bincount(group)
    return ordered, means[group]


class Expected(NamedTuple):
    """An expectation, with its standard error over the arcs of the space and the degrees of freedom of that."""

    value: float
    error: float
    degrees: float


def expected_best(valid: Sequence[float], test: Sequence[float], k: int) -> Expected:
    """Expected test accuracy of the arc with the best validation accuracy among k of the given ones, 1 <= k <= them.

    The standard error is that of the jackknife: arcs are left out in turn, a hundredth at a time where there are many.
    Its degrees of freedom are as many as there are choices of k arcs that share none. In simulations with 12 to 48
    arcs, k from 1 to half of them, and accuracies of normal, uniform, skewed and heavy-tailed distributions, 95 %
    intervals so held the true expectation in 91 to 99 % of cases (in 81 to 96 % with the usual n - 1 degrees)."""
    _, tied = _best_first(valid, test)
    count = len(tied)
    groups = min(count, MAX_GROUPS)
    order = np.random.default_rng(0).permutation(count) if groups < count else np.arange(count)
    rests = [np.delete(tied, group) for group in np.array_split(order, groups)]
    probabilities = {size: choice_probabilities(size, k) for size in {len(rest) for rest in rests} if size >= k}
    without = [probabilities[len(rest)] @ rest for rest in rests if len(rest) >= k]
    error = float(np.std(without)) * math.sqrt(groups - 1) if without else 0.0
    degrees = min(groups - 1, count / k)
    return Expected(float(choice_probabilities(count, k) @ tied), error, degrees)


def why_no_interval(num_arcs: int, k: int) -> str:
    """Why the expectation for k of so many arcs has no interval; empty where it has one."""
    needed = max(MIN_ARCS_INTERVAL, math.ceil(k / LARGEST_SHARE))
    if num_arcs >= needed:
        return ""
    return f"an interval needs at least {needed} random arcs, there {_are(num_arcs)}"


def with_interval(expected: Expected) -> Estimate:
    """The expectation with Student's interval."""
    reach = _student(expected.degrees) * expected.error
    return Estimate(expected.value, expected.value - reach, expected.value + reach)


def gain_over(expected: Expected, found: Sequence[float]) -> Estimate:
    """How far the mean of the found networks lies above an expectation, with Welch's interval (1947)."""
    mean, deviation = mean_of_known(found), std(found)
    assert mean is not None
    gain = mean - expected.value
    if deviation is None or len(found) < MIN_FOUND_INTERVAL:
        return Estimate(
            gain, reason=f"an interval needs at least {MIN_FOUND_INTERVAL} searches, there {_are(len(found))}"
        )
    degrees = len(found) - 1
    own, other = deviation**2 / len(found), expected.error**2
    if own + other == 0:
        return Estimate(gain, reason="no interval: all networks have the same accuracy")
    together = (own + other) ** 2 / (own**2 / degrees + other**2 / expected.degrees)
    reach = _student(together) * math.sqrt(own + other)
    return Estimate(gain, gain - reach, gain + reach)


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count}"


def _student(degrees: float) -> float:
    from scipy import stats

    return float(stats.t.ppf((1 + LEVEL) / 2, degrees))


def outcomes(valid: Sequence[float], test: Sequence[float], k: int) -> tuple[float, float]:
    """Between which test accuracies `LEVEL` of the choices of k arcs end: what one random search may reach."""
    ordered, _ = _best_first(valid, test)
    _, group, sizes = np.unique(-np.sort(-np.asarray(valid)), return_inverse=True, return_counts=True)
    probability = choice_probabilities(len(ordered), k)
    probability = (np.bincount(group, probability) / sizes)[group]  # ties are chosen alike
    by_test = np.argsort(ordered, kind="stable")
    reached = np.cumsum(probability[by_test])
    tails = np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2]) - 1e-12
    low, high = np.minimum(np.searchsorted(reached, tails), len(ordered) - 1)
    return float(ordered[by_test[low]]), float(ordered[by_test[high]])


class Paid(NamedTuple):
    """One network, and what it has cost; its accuracies are means over its augment seeds."""

    valid_accuracy: float | None
    """None where no images are held out."""
    test_accuracy: float
    hours: float | None
    """Of a found network with its search and selection; None where they are not known."""


def paid_networks(metrics: Sequence[Row], role: str) -> list[Paid]:
    """The networks of a role, by name."""
    trainings: dict[str, list[Row]] = {}
    for row in metrics:
        if row["role"] == role and row["test_accuracy"] is not None:
            trainings.setdefault(row["network"], []).append(row)
    return [_paid(rows) for _, rows in sorted(trainings.items())]


def _paid(rows: Sequence[Row]) -> Paid:
    valid = [row["valid_accuracy"] for row in rows]
    seconds = [row["seconds"] for row in rows]
    if rows[0]["role"] == "searched":
        seconds.append(rows[0]["search_seconds"])
        seconds.append(rows[0]["select_seconds"] or 0.0)  # an earlier version has not recorded it
    return Paid(
        valid_accuracy=None if None in valid else math.fsum(valid) / len(valid),
        test_accuracy=math.fsum(row["test_accuracy"] for row in rows) / len(rows),
        hours=None if None in seconds else math.fsum(seconds) / 3600,
    )


COLUMNS = (
    *("equal_hours_k", "equal_hours_accuracy", "equal_hours_low", "equal_hours_high"),
    *("equal_hours_gain", "gain_low", "gain_high"),
)
"""Of `comparison`."""


def at_equal_hours(metrics: Sequence[Row]) -> tuple[Row, dict[str, str]]:
    """The columns of `comparison` about random search at equal hours, and why some of them are null.

    `equal_hours_k` random arcs cost as many hours as one found network does (the mean of them), rounded down but at
    least one. `equal_hours_accuracy` is the expected test accuracy of the one of them with the best validation
    accuracy. `equal_hours_gain` is how far the found networks' mean lies above it."""
    row: Row = dict.fromkeys(COLUMNS)
    searched, random = paid_networks(metrics, "searched"), paid_networks(metrics, "random")
    k, reason = _affordable(searched, random)
    row["equal_hours_k"] = k
    if k is None:
        return row, {"equal_hours_k": reason, "equal_hours_accuracy": reason, "equal_hours_gain": reason}

    valid = [network.valid_accuracy for network in random if network.valid_accuracy is not None]
    if len(valid) < len(random):
        reason = "needs validation images (augment.valid_images), by which the best of several is chosen"
        return row, {"equal_hours_accuracy": reason, "equal_hours_gain": reason}

    if k > len(random):
        reason = f"as many hours pay for {k} random arcs, there {_are(len(random))}"
        return row, {"equal_hours_accuracy": reason, "equal_hours_gain": reason}

    best = expected_best(valid, [network.test_accuracy for network in random], k)
    row |= {"equal_hours_accuracy": best.value}
    gain = gain_over(best, [network.test_accuracy for network in searched])
    reason = why_no_interval(len(random), k)
    if reason:
        row["equal_hours_gain"] = gain.value
        return row, {"equal_hours_accuracy": reason, "equal_hours_gain": reason}
    _, row["equal_hours_low"], row["equal_hours_high"], _ = with_interval(best)
    row["equal_hours_gain"], row["gain_low"], row["gain_high"], reason = gain
    return row, {"equal_hours_gain": reason} if reason else {}


def _affordable(searched: Sequence[Paid], random: Sequence[Paid]) -> tuple[int | None, str]:
    """How many random arcs cost as many hours as a found network, or why that is not known."""
    found = mean_of_known(network.hours for network in searched)
    one = mean_of_known(network.hours for network in random)
    if not searched or not random:
        return None, f"needs searched and random networks, there are {len(searched)} and {len(random)}"
    if found is None or not one:
        return None, "the hours of the searches or trainings are not known"
    return max(1, math.floor(found / one)), ""
