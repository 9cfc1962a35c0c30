"""What so many found and random networks can show: `plan` says it before they are trained, `compare` afterwards.

The test is the comparison's own, a permutation test against a higher mean. It finds a difference about as often as
Student's t-test does at the same level, whose power has a formula (the noncentral t distribution). In simulations with
normal accuracies, 1 to 12 found and 4 to 40 random networks, and spreads of which one is up to twice the other, the
difference that is computed here for 80 % power was found in 74 to 83 % of cases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from enas_core.analysis.statistics import (
    ALPHA,
    MIN_RANDOM,
    MIN_SEARCHED,
    RESAMPLES,
    random_needed,
    std,
)

POWER = 0.8
"""How often a difference has to be found to count as one that can be shown."""

MIN_SPREAD = 4
"""Values that a standard deviation is taken from. With four it is wrong by 40 % or so, with three by 50 %."""


class Spread(NamedTuple):
    """How much networks differ from each other: standard deviations of their test accuracies."""

    searched: float
    random: float
    origin: str
    """Where the numbers come from, in words."""


_ORIGIN = "published for ENAS at full size by Yang et al. 2020"

PUBLISHED = {
    "cifar10": Spread(0.0032, 0.0031, _ORIGIN),
    "cifar100": Spread(0.0104, 0.0094, _ORIGIN),
    "sport8": Spread(0.0069, 0.0067, _ORIGIN),
    "mit67": Spread(0.0057, 0.0074, _ORIGIN),
    "flowers102": Spread(0.0040, 0.0071, _ORIGIN),
}
"""By dataset: between the networks of eight searches and between eight random ones."""

UNIT = Spread(1.0, 1.0, "")
"""Where no spread is known, differences are given in standard deviations."""


def measured_spread(searched: Sequence[float], random: Sequence[float]) -> Spread | None:
    """The spread of measured accuracies; None where there are too few random networks. For too few found networks it is
    taken from the random ones."""
    of_searched, of_random = std(searched), std(random)
    if of_random is None or len(random) < MIN_SPREAD:
        return None
    if of_searched is None or len(searched) < MIN_SPREAD:
        return Spread(of_random, of_random, f"as measured between {len(random)} random ones")
    return Spread(of_searched, of_random, f"as measured between {len(searched)} and {len(random)}")


def lowest_p(num_searched: int, num_random: int) -> float:
    """The smallest p-value that the comparison can give; all are multiples of it."""
    return 1 / min(math.comb(num_searched + num_random, num_searched), RESAMPLES + 1)


def power(num_searched: int, num_random: int, spread: Spread, difference: float) -> float:
    """How often p is below `ALPHA` when the means really differ by `difference`."""
    from scipy import stats

    lowest = lowest_p(num_searched, num_random)
    level = (math.ceil(ALPHA / lowest) - 1) * lowest  # the largest p that is below ALPHA
    degrees = num_searched + num_random - 2
    error = math.sqrt(spread.searched**2 / num_searched + spread.random**2 / num_random)
    # The test does not know which network is of which kind, so it takes both spreads for one.
    pooled = ((num_searched - 1) * spread.searched**2 + (num_random - 1) * spread.random**2) / degrees
    assumed_error = math.sqrt(pooled * (1 / num_searched + 1 / num_random))
    critical = stats.t.isf(level, degrees) * assumed_error / error
    return float(stats.nct.sf(critical, degrees, difference / error))


def detectable_difference(num_searched: int, num_random: int, spread: Spread) -> float | None:
    """The smallest difference of the means that is found with probability `POWER`; None where p is never below
    `ALPHA`."""
    from scipy import optimize

    if lowest_p(num_searched, num_random) >= ALPHA:
        return None
    enough = max(spread.searched, spread.random)
    if enough == 0:
        return 0.0

    def surplus(difference: float) -> float:
        return power(num_searched, num_random, spread, difference) - POWER

    while surplus(enough) < 0:
        enough *= 2
    return float(optimize.brentq(surplus, 0.0, enough))


def networks_needed(difference: float, spread: Spread) -> int:
    """How many found networks, and as many random ones, find a `difference` above 0 with probability `POWER`."""

    def suffice(count: int) -> bool:
        detectable = detectable_difference(count, count, spread)
        return detectable is not None and detectable <= difference

    enough = 2
    while not suffice(enough):
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if suffice(middle):
            enough = middle
        else:
            too_few = middle
    return enough


def what_shows(num_searched: int, num_random: int, spread: Spread | None) -> str:
    """One sentence on what so many networks can show. `spread`: None where it is not known."""
    counts = f"{num_searched} found against {num_random} random networks"
    if not num_searched or not num_random:
        return f"{counts}: nothing to compare"
    lowest = lowest_p(num_searched, num_random)
    difference = detectable_difference(num_searched, num_random, spread or UNIT)
    if difference is None:
        needed = f"p < {ALPHA} needs at least {random_needed(num_searched)} random networks"
        return f"{counts}: no difference can show, p is {lowest:.3f} at best; {needed}"

    size = _in_words(difference, spread)
    parts = [f"{counts}: p is {lowest:.2g} at best; a difference of {size} shows with {POWER:.0%} power"]
    if difference > 0:
        parts.append(f"half of it would need {networks_needed(difference / 2, spread or UNIT)} of each")
    if num_searched < MIN_SEARCHED or num_random < MIN_RANDOM:
        parts.append(f"an interval needs at least {MIN_SEARCHED} found and {MIN_RANDOM} random networks")
    return "; ".join(parts)


def _in_words(difference: float, spread: Spread | None) -> str:
    """A difference, and the spread that it belongs to."""
    if spread is None:
        return f"{difference:.3g} standard deviations (the spread of such networks is not known yet)"
    deviations = f"standard deviations {100 * spread.searched:.3g} found, {100 * spread.random:.3g} random"
    return f"{100 * difference:.3g} points ({deviations}, {spread.origin})"
