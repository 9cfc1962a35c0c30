"""Ways to choose an arc after a search, against each other at equal cost: what did the controller buy?

The unit is a search: over the same shared weights, and after as many evaluations, the search's policy has proposed one
arc and random sampling another, and both were trained from scratch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from enas_core.analysis.results import Row, strategy_of
from enas_core.analysis.statistics import Estimate, mean_interval, mean_of_known

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


def reached(metrics: Sequence[Row], column: str = "test_accuracy") -> dict[str, dict[int, float]]:
    """What each strategy's choices have reached when trained, by the seed of the search: means over augment seeds of
    the test accuracy, or of another column."""
    values: dict[str, dict[int, list[float | None]]] = {}
    for row in metrics:
        if row.get("strategy") is not None:
            values.setdefault(row["strategy"], {}).setdefault(row["search_seed"], []).append(row[column])
    means = {name: {seed: mean_of_known(of_seed) for seed, of_seed in found.items()} for name, found in values.items()}
    return {
        name: {seed: mean for seed, mean in sorted(found.items()) if mean is not None} for name, found in means.items()
    }


class Gain(NamedTuple):
    """How much higher the choice of one strategy is than that of another, over the searches that have both."""

    searches: int
    change: Estimate
    """Mean difference, with Student's interval over searches."""


def gain(metrics: Sequence[Row], strategy: str, reference: str, column: str = "test_accuracy") -> Gain | None:
    """None where no search has both."""
    of_each = reached(metrics, column)
    first, second = of_each.get(strategy, {}), of_each.get(reference, {})
    differences = [first[seed] - second[seed] for seed in first if seed in second]
    return Gain(len(differences), mean_interval(differences)) if differences else None


def bought(metrics: Sequence[Row]) -> str | None:
    """What the controller bought, in one sentence; None where no random strategy was tried beside it."""
    tested = gain(metrics, LEARNED, RANDOM)
    if tested is None:
        return None
    change = tested.change
    assert change.value is not None
    searches = f"{tested.searches} search{'es' if tested.searches > 1 else ''}"
    text = (
        f"what the search's policy bought over random arcs, chosen by the same shared weights at equal cost:"
        f" {change.value:+.4f} test accuracy in {searches}"
    )
    if change.low is None or change.high is None:
        return f"{text}: nothing that these runs can show, since one search has no interval"
    verdict = "nothing that these runs can show"
    if change.low > 0:
        verdict = "which exceeds the noise"
    elif change.high < 0:
        verdict = "so it cost accuracy"
    return f"{text}, 95 % interval {change.low:+.4f} to {change.high:+.4f}: {verdict}"
