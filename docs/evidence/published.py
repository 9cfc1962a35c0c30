"""The published accuracies of found and random networks, and what the runs here say beside them."""

from __future__ import annotations

from typing import NamedTuple

from searches import Runs, points

from enas_core.analysis.comparison import accuracies, summarise
from enas_core.analysis.statistics import ALPHA, Estimate, permutation_test


class Published(NamedTuple):
    """Accuracies in percent, mean and standard deviation, of `runs` networks each (Yang et al. 2020)."""

    random: tuple[float, float]
    found: tuple[float, float]
    runs: int = 8

    @property
    def difference(self) -> Estimate:
        """Found less random, points, with Welch's interval."""
        from scipy import stats

        (random, of_random), (found, of_found) = self.random, self.found
        test = stats.ttest_ind_from_stats(found, of_found, self.runs, random, of_random, self.runs, equal_var=False)
        change = found - random
        error = abs(change / test.statistic)
        own, other = of_found**2 / self.runs, of_random**2 / self.runs
        degrees = (own + other) ** 2 / ((own**2 + other**2) / (self.runs - 1))
        reach = float(stats.t.ppf(0.975, degrees)) * error
        return Estimate(change, change - reach, change + reach)


PUBLISHED = {
    "cifar10": Published(random=(95.84, 0.31), found=(95.85, 0.32)),
    "cifar100": Published(random=(80.80, 0.94), found=(78.02, 1.04)),
}
"""By dataset."""

NO_DIFFERENCE = "no difference shown"

SOURCE = "https://github.com/antoyang/NAS-Benchmark"


def published_verdict(difference: Estimate) -> str:
    """What the published difference shows."""
    assert difference.low is not None
    assert difference.high is not None
    return "found better" if difference.low > 0 else "found worse" if difference.high < 0 else NO_DIFFERENCE


def own_verdict(runs: Runs) -> str:
    """What the runs here show, by the comparison's permutation test in both directions."""
    searched, random = accuracies(runs.metrics, "searched"), accuracies(runs.metrics, "random")
    higher, lower = permutation_test(searched, random).value, permutation_test(random, searched).value
    if higher is not None and higher < ALPHA:
        return "found better"
    if lower is not None and lower < ALPHA:
        return "found worse"
    return NO_DIFFERENCE


def published_rows(own: Runs) -> list[list[str]]:
    """Published and own differences, a row each."""
    rows = []
    for dataset, numbers in PUBLISHED.items():
        difference = numbers.difference
        interval = f"{difference.value:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"
        random, found = (f"{mean:.2f} ± {deviation:.2f}" for mean, deviation in (numbers.random, numbers.found))
        rows.append([f"{dataset}, full size, published", random, found, interval, published_verdict(difference)])
    row, _ = summarise(own.metrics)
    if row["p_value"] is not None:
        random, found = (
            f"{points(row[f'{group}_mean'], '')} ± {points(row[f'{group}_std'], '')}"
            for group in ("random", "searched")
        )
        change = f"{points(row['searched_mean'] - row['random_mean'])} (p = {row['p_value']:.2g})"
        rows.append([f"here, `{own.label}`", random, found, change, own_verdict(own)])
    return rows


def about_published(own: Runs) -> str:
    """Whether the runs here show what the published ones of the same kind show."""
    here, dataset = own_verdict(own), own.metrics[0]["dataset"]
    published = PUBLISHED.get(dataset)
    if published is None:
        return f"There are no published numbers of {dataset} here. These runs: {here}."
    there = published_verdict(published.difference)
    same = "the same" if here == there else "something else"
    return (
        f"Yang et al. 2020 ({SOURCE}, {published.runs} networks an arm) at full size on {dataset}: {there}. These runs"
        f" say {same}: {here}. Sizes, epochs and accuracies are others: only the difference to random arcs compares."
    )
