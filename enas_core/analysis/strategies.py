"""Ways to choose an arc after a search, against each other at equal cost: what did the controller buy?

The unit is a search: over the same shared weights, and after as many evaluations, the search's policy has proposed one
arc and random sampling another, and both were trained from scratch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from enas_core.analysis.results import Row, strategy_of
from enas_core.analysis.statistics import Estimate, mean_difference, mean_interval, mean_of_known, unit_means

LEARNED, RANDOM = "policy", "random"
"""The strategies whose difference the controller makes."""


def evaluations(candidates: Sequence[Row]) -> list[Row]:
    """The rows of strategies.parquet that one table of candidates gives, without those columns that name the search."""
    rows: list[Row] = []
    best = 0.0
    for row in candidates:
        best = max(best, row["valid_accuracy"])
        taken = {name: row[name] for name in ("space", "arc", "valid_accuracy", "params", "macs", "selected")}
        count = {"strategy": strategy_of(row), "evaluation": len(rows) + 1, "best_so_far": best}
        rows.append(count | taken)
    return rows


def reached(metrics: Sequence[Row]) -> dict[str, dict[int, float]]:
    """Test accuracy of each strategy's choices, by the seed of the search: means over augment seeds."""
    values: dict[str, dict[int, list[float]]] = {}
    for row in metrics:
        if row.get("strategy") is not None and row["test_accuracy"] is not None:
            values.setdefault(row["strategy"], {}).setdefault(row["search_seed"], []).append(row["test_accuracy"])
    return {
        name: {seed: mean for seed, trained in sorted(found.items()) if (mean := mean_of_known(trained)) is not None}
        for name, found in values.items()
    }


class Gain(NamedTuple):
    """How much higher the choices of one strategy are than those of another, over the searches that have both."""

    searches: int
    change: Estimate
    """Mean difference, with Student's interval over searches."""


def gain(metrics: Sequence[Row], strategy: str, reference: str) -> Gain | None:
    """None where no search has both."""
    of_each = reached(metrics)
    first, second = of_each.get(strategy, {}), of_each.get(reference, {})
    differences = [first[seed] - second[seed] for seed in first if seed in second]
    return Gain(len(differences), mean_interval(differences)) if differences else None


def bought(metrics: Sequence[Row]) -> str | None:
    """What the controller bought, in one sentence; None where no random strategy was tried beside it."""
    tested = gain(metrics, LEARNED, RANDOM)
    if tested is None:
        return None
    change, searches = tested.change, _searches(tested.searches)
    what = "what the search's policy bought over random arcs, chosen by the same shared weights at equal cost"
    return f"{what}: {_in_words(change.value, change.low, change.high, searches)}"


def bought_by_choosing(metrics: Sequence[Row]) -> str | None:
    """What the shared weights bought without the controller, in one sentence: random arcs that they have chosen against
    random networks. None where there are not both."""
    chosen = list(reached(metrics).get(RANDOM, {}).values())
    rows = [row for row in metrics if row["role"] == "random" and row["test_accuracy"] is not None]
    random = unit_means([row["network"] for row in rows], [row["test_accuracy"] for row in rows])
    if not chosen or not random:
        return None
    found = mean_difference(chosen, random)
    what = "what choosing among random arcs by the shared weights bought over taking any"
    return f"{what}: {_in_words(found.change, found.low, found.high, _searches(len(chosen)))}"


def _searches(count: int) -> str:
    return f"{count} search{'es' if count > 1 else ''}"


def _in_words(change: float | None, low: float | None, high: float | None, searches: str) -> str:
    """A difference of test accuracies and whether it is more than noise."""
    text = f"{change:+.4f} test accuracy in {searches}"
    if low is None or high is None:
        return f"{text}: nothing that these runs can show, since so few have no interval"
    verdict = "nothing that these runs can show"
    if low > 0:
        verdict = "more than the noise"
    elif high < 0:
        verdict = "it cost accuracy"
    return f"{text}, 95 % interval {low:+.4f} to {high:+.4f}: {verdict}"
