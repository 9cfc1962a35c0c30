"""Found against random networks of one experiment, and experiments with each other (`enas_core.compare`, the report).

The unit of every statistic is a network: what one search has found, or one random arc. Its accuracy is the mean
over its augment seeds, since several trainings of the same arc say nothing more about searches or arcs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from enas_core.analysis.budget import at_equal_hours
from enas_core.analysis.ranking import agreement, top_k
from enas_core.analysis.results import SIGNAL_COLUMNS, Row, SearchResult
from enas_core.analysis.signal import weakest
from enas_core.analysis.statistics import (
    ALPHA,
    Estimate,
    holm,
    kendall_tau,
    mean_of_known,
    permutation_test,
    relative_improvement,
    smallest_p,
    std,
    two_sided_p,
    unit_means,
)
from enas_core.files.schemas import SCHEMAS

COMPARED_ROLES = ("searched", "random")
"""Roles whose networks one experiment has in common with another."""


class NetworkMeans(NamedTuple):
    """One network; its numbers are means over its augment seeds."""

    network: str
    role: str
    test_accuracy: float
    shared_accuracy: float | None
    params: float | None
    search_seconds: float | None
    select_seconds: float | None


def network_means(metrics: Sequence[Row]) -> list[NetworkMeans]:
    """Networks by name; rows without a test accuracy count for nothing."""
    trainings: dict[str, list[Row]] = {}
    for row in metrics:
        if row["test_accuracy"] is not None:
            trainings.setdefault(row["network"], []).append(row)

    networks = []
    for network, rows in sorted(trainings.items()):
        means = NetworkMeans(
            network=network,
            role=rows[0]["role"],
            test_accuracy=math.fsum(row["test_accuracy"] for row in rows) / len(rows),
            shared_accuracy=mean_of_known(row["shared_accuracy"] for row in rows),
            params=mean_of_known(row["params"] for row in rows),
            search_seconds=mean_of_known(row["search_seconds"] for row in rows),
            select_seconds=mean_of_known(row["select_seconds"] for row in rows),
        )
        networks.append(means)
    return networks


def accuracies(metrics: Sequence[Row], role: str, column: str = "test_accuracy") -> list[float]:
    """Test accuracy, or another column, of each network of a role, in increasing order."""
    rows = [row for row in metrics if row["role"] == role and row.get(column) is not None]
    return unit_means([row["network"] for row in rows], [row[column] for row in rows])


def rank_correlation(metrics: Sequence[Row]) -> Estimate:
    """Kendall's tau between shared and test accuracy of all trained networks."""
    return kendall_tau(*shared_and_test(metrics))


def shared_and_test(metrics: Sequence[Row]) -> tuple[list[float], list[float]]:
    """Shared and test accuracy of all trained networks that have both, but for those that strategies have chosen
    for the record: what they are does not change the comparison."""
    shared, test = [], []
    for network in network_means(metrics):
        if network.shared_accuracy is not None and network.role != "strategy":
            shared.append(network.shared_accuracy)
            test.append(network.test_accuracy)
    return shared, test


def check_searches(searches: Sequence[SearchResult]) -> tuple[Row, dict[str, str]]:
    """The columns of `comparison` that say what the searches' rankings are worth, and why some of them are null.

    All but the agreement are those of one search, the one whose check promises least: `signal_seed` of
    `num_searches` that were checked."""
    checked: Row = dict.fromkeys(SIGNAL_COLUMNS)
    reasons: dict[str, str] = {}
    signals = [search.signal for search in searches if search.signal is not None]
    if signals:
        least = weakest(signals)
        checked |= {name: least[name] for name in SIGNAL_COLUMNS if name in least}
        checked |= {"signal": least["verdict"], "num_searches": len(signals), "signal_seed": least["seed"]}
        reasons["reliability"] = least["remark"]
    else:
        unknown = "there is no signal.parquet of any search, as in results of an earlier version"
        reasons = {"signal": unknown, "reliability": unknown}

    among_seeds = agreement([search.random for search in searches])
    checked |= {"agreement": among_seeds.value, "agreement_low": among_seeds.low, "agreement_high": among_seeds.high}
    reasons["agreement"] = among_seeds.reason
    return checked, {column: reason for column, reason in reasons.items() if reason}


def summarise(metrics: Sequence[Row], checked: Row | None = None) -> tuple[Row, dict[str, str]]:
    """The row of `comparison`, and for some of its columns why they are null, or what they cannot show. `checked` holds
    the columns that come from the searches; without it they are null.

    `p_value` is that of the permutation test against a higher mean of the found networks, `searched_std` and
    `random_std` are standard deviations between networks. `search_hours` and `select_hours` are those of all searches
    and of their choices of an arc, `train_hours` those of all trainings of any role. `precision_at_k` and `regret_at_k`
    judge the first k networks by shared accuracy; see `enas_core.analysis.ranking.top_k`. What the same hours
    would have bought without a search: `enas_core.analysis.budget.at_equal_hours`."""
    searched = accuracies(metrics, "searched")
    random = accuracies(metrics, "random")
    improvement = relative_improvement(searched, random)
    test = permutation_test(searched, random)
    tau = rank_correlation(metrics)
    top = top_k(*shared_and_test(metrics))
    networks = network_means(metrics)
    equal_hours, why_not = at_equal_hours(metrics)
    row = {
        "experiment": metrics[0]["experiment"],
        "dataset": metrics[0]["dataset"],
        "n_searched": len(searched),
        "n_random": len(random),
        "searched_mean": mean_of_known(searched),
        "searched_std": std(searched),
        "random_mean": mean_of_known(random),
        "random_std": std(random),
        "relative_improvement": improvement.value,
        "ri_low": improvement.low,
        "ri_high": improvement.high,
        "p_value": test.value,
        "searched_balanced_mean": mean_of_known(accuracies(metrics, "searched", "balanced_accuracy")),
        "random_balanced_mean": mean_of_known(accuracies(metrics, "random", "balanced_accuracy")),
        "kendall_tau": tau.value,
        "tau_low": tau.low,
        "tau_high": tau.high,
        "searched_params_mean": mean_of_known(network.params for network in networks if network.role == "searched"),
        "random_params_mean": mean_of_known(network.params for network in networks if network.role == "random"),
        "search_hours": _hours([network.search_seconds for network in networks if network.role == "searched"]),
        "train_hours": _hours([row["seconds"] for row in metrics]),
        **dict.fromkeys(SIGNAL_COLUMNS),
        **(checked or {}),
        "k": top.k,
        "precision_at_k": top.precision,
        "regret_at_k": top.regret,
        "select_hours": _hours([network.select_seconds for network in networks if network.role == "searched"]),
        **equal_hours,
    }
    reasons = {
        "searched_std": _why_no_deviation(len(searched)),
        "random_std": _why_no_deviation(len(random)),
        "relative_improvement": improvement.reason,
        "p_value": test.reason,
        "kendall_tau": tau.reason,
        "k": top.reason,
        **why_not,
    }
    return row, {column: reason for column, reason in reasons.items() if reason}


def _hours(seconds: Sequence[float | None]) -> float | None:
    known = [value for value in seconds if value is not None]
    return math.fsum(known) / 3600 if known else None


def _why_no_deviation(count: int) -> str:
    if count >= 2:
        return ""
    return f"needs at least 2 networks, there {'is 1' if count == 1 else f'are {count}'}"


class Difference(NamedTuple):
    """How the networks of one role differ between two results.

    `change` is the second mean minus the first. `p` is two-sided and corrected for the number of differences looked
    at; None where so few networks cannot show any."""

    first: str
    second: str
    role: str
    change: float
    p: float | None


def differences(results: Mapping[str, list[Row]]) -> list[Difference]:
    """All pairs of results on the same dataset, for each role of `COMPARED_ROLES`; random networks that both have from
    the same trainings do not differ. The p-values are corrected over those that could be below ALPHA at all."""
    found = []
    for (first, first_metrics), (second, second_metrics) in itertools.combinations(results.items(), 2):
        if first_metrics[0]["dataset"] != second_metrics[0]["dataset"]:
            continue
        for role in COMPARED_ROLES:
            x = accuracies(first_metrics, role)
            y = accuracies(second_metrics, role)
            if x and y and not _same_trainings(first_metrics, second_metrics, role):
                change = math.fsum(y) / len(y) - math.fsum(x) / len(x)
                could_show = 2 * smallest_p(len(x), len(y)) < ALPHA
                found.append(Difference(first, second, role, change, two_sided_p(x, y) if could_show else None))

    tested = {i: difference.p for i, difference in enumerate(found) if difference.p is not None}
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    return [difference._replace(p=corrected.get(i)) for i, difference in enumerate(found)]


def _same_trainings(first: Sequence[Row], second: Sequence[Row], role: str) -> bool:
    """Whether both have all networks of a role from one experiment, which has trained them once."""
    trainings = [
        {
            (row["trained_by"], row["network"], row["seed"], row["test_accuracy"])
            for row in metrics
            if row["role"] == role
        }
        for metrics in (first, second)
    ]
    known = all(trained_by is not None for trained_by, *_ in trainings[0])
    return known and trainings[0] == trainings[1]


def joined(results: Mapping[str, list[Row]], found: Sequence[Difference], checked: Mapping[str, Row]) -> pa.Table:
    """The comparison of each result with its signal check, and in `differs_from` those whose found networks differ
    beyond the noise."""
    rows = []
    for name, metrics in results.items():
        row, _ = summarise(metrics, checked.get(name))
        others = _differing(name, found)
        rows.append({"results": name} | row | {"differs_from": " ".join(others)})
    schema = pa.schema([("results", pa.string()), *SCHEMAS["comparison"], ("differs_from", pa.string())])
    return pa.Table.from_pylist(rows, schema=schema)


def _differing(name: str, found: Sequence[Difference]) -> list[str]:
    """Results whose found networks differ from those of `name` beyond the noise."""
    others = []
    for difference in found:
        exceeds_noise = difference.p is not None and difference.p < ALPHA
        if difference.role == "searched" and exceeds_noise and name in (difference.first, difference.second):
            others.append(difference.second if difference.first == name else difference.first)
    return others
