"""Compare: found against random networks of one experiment, and experiments with each other.

As a stage (`--out-dir`) it writes metrics.parquet and comparison.parquet of one experiment. For people,
`python -m enas_core.compare results/cifar10 results/cifar10_corrected` shows one line for each, and says which
differences exceed the noise.

The unit of every statistic is a network: what one search has found, or one random arc. Its accuracy is the mean
over its augment seeds, since several trainings of the same arc say nothing more about searches or arcs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from enas_core.analysis.statistics import (
    ALPHA,
    Estimate,
    kendall_tau,
    permutation_test,
    relative_improvement,
    smallest_p,
    std,
)
from enas_core.console import UserError, log
from enas_core.files.tables import SCHEMAS, read_provenance, read_table

Row = dict[str, Any]


ROLES = ("searched", "random", "named")


COMPARED = {"searched": "found networks", "random": "random networks"}


def role_of(network: str) -> tuple[str, int | None]:
    """Role of a network by its name, and the seed of the search that found it."""
    kind, _, number = network.partition("-")
    if kind == "searched" and number[:1] == "s" and number[1:].isdigit():
        return "searched", int(number[1:])
    return ("random" if kind == "random" and number.isdigit() else "named"), None


class SearchResult(NamedTuple):
    """What one search cost, and its shared-weight accuracy of each arc that it has scored."""

    seconds: float
    accuracies: dict[str, float]


def read_search(folder: Path) -> tuple[int, SearchResult]:
    """Seed and result of the search in `folder`."""
    epochs = _rows(folder / "epochs.parquet", "search_epochs")
    scored = {row["arc"]: row["valid_accuracy"] for row in _rows(folder / "candidates.parquet", "candidates")}
    return epochs[0]["seed"], SearchResult(math.fsum(row["seconds"] for row in epochs), scored)


def _rows(path: Path, kind: str, required: Sequence[str] | None = None) -> list[Row]:
    if rows := read_table(path, kind, required):
        return rows
    raise UserError(f"{path}: holds no rows")


def network_size(path: Path) -> tuple[int, int]:
    """Parameters and multiply-accumulates of the network in a model.pt, without its auxiliary head."""
    from enas_core.spaces import measure
    from enas_core.spaces.saved import load_untrained

    size = measure.network_size(load_untrained(path))
    return size.params, size.macs


def metrics_row(folder: Path, searches: dict[int, SearchResult]) -> Row:
    """The row of one training, from its folder."""
    epochs = _rows(folder / "epochs.parquet", "augment_epochs")
    last = epochs[-1]
    role, search_seed = role_of(last["network"])
    own = [searches[search_seed]] if search_seed in searches else searches.values()
    shared = [search.accuracies[last["arc"]] for search in own if last["arc"] in search.accuracies]
    params, macs = network_size(folder / "model.pt")
    return {name: last[name] for name in ("experiment", "dataset", "network", "arc", "seed", "test_accuracy")} | {
        "role": role,
        "search_seed": search_seed,
        "params": params,
        "macs": macs,
        "shared_accuracy": _mean(shared),
        "test_error": 1 - last["test_accuracy"],
        "epochs": len(epochs),
        "seconds": math.fsum(row["seconds"] for row in epochs),
        "search_seconds": searches[search_seed].seconds if search_seed in searches else None,
        "device": read_provenance(folder / "epochs.parquet").get("device"),
    }


class Unit(NamedTuple):
    """One network, over its augment seeds."""

    network: str
    role: str
    test_accuracy: float
    shared_accuracy: float | None
    params: float | None
    search_seconds: float | None


def units(metrics: Sequence[Row]) -> list[Unit]:
    """Networks by name; rows without a test accuracy count for nothing."""
    groups: dict[str, list[Row]] = {}
    for row in metrics:
        if row["test_accuracy"] is not None:
            groups.setdefault(row["network"], []).append(row)
    return [
        Unit(network, rows[0]["role"], **{name: _mean(row[name] for row in rows) for name in Unit._fields[2:]})
        for network, rows in sorted(groups.items())
    ]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def accuracies(metrics: Sequence[Row], role: str) -> list[float]:
    """Test accuracy of each network of a role."""
    return sorted(unit.test_accuracy for unit in units(metrics) if unit.role == role)


def rank_correlation(metrics: Sequence[Row]) -> Estimate:
    """Kendall's tau between shared-weight and test accuracy of all trained networks."""
    pairs = [(u.shared_accuracy, u.test_accuracy) for u in units(metrics) if u.shared_accuracy is not None]
    return kendall_tau([shared for shared, _ in pairs], [test for _, test in pairs])


def summarise(metrics: Sequence[Row]) -> tuple[Row, dict[str, str]]:
    """The row of `comparison`, and for its columns that need it the reason why they are null, or what they cannot show.

    `p_value`: of the permutation test against a higher mean of the searched networks. `searched_std`, `random_std`:
    between networks. `search_hours`: of all searches; `train_hours`: of all trainings, of any role."""
    searched, random = accuracies(metrics, "searched"), accuracies(metrics, "random")
    improvement, test = relative_improvement(searched, random), permutation_test(searched, random)
    tau = rank_correlation(metrics)
    networks = units(metrics)
    search_seconds = [unit.search_seconds for unit in networks if unit.search_seconds is not None]
    train_seconds = [row["seconds"] for row in metrics if row["seconds"] is not None]
    row = {
        "experiment": metrics[0]["experiment"],
        "dataset": metrics[0]["dataset"],
        "n_searched": len(searched),
        "n_random": len(random),
        "searched_mean": _mean(searched),
        "searched_std": std(searched),
        "random_mean": _mean(random),
        "random_std": std(random),
        "relative_improvement": improvement.value,
        "ri_low": improvement.low,
        "ri_high": improvement.high,
        "p_value": test.value,
        "kendall_tau": tau.value,
        "tau_low": tau.low,
        "tau_high": tau.high,
        "searched_params_mean": _mean(unit.params for unit in networks if unit.role == "searched"),
        "random_params_mean": _mean(unit.params for unit in networks if unit.role == "random"),
        "search_hours": math.fsum(search_seconds) / 3600 if search_seconds else None,
        "train_hours": math.fsum(train_seconds) / 3600 if train_seconds else None,
    }
    deviation = {
        f"{role}_std": f"needs at least 2 networks, there {'is 1' if n == 1 else f'are {n}'}"
        for role, n in (("searched", len(searched)), ("random", len(random)))
        if n < 2
    }
    reasons = {"relative_improvement": improvement.reason, "p_value": test.reason, "kendall_tau": tau.reason}
    return row, deviation | {name: reason for name, reason in reasons.items() if reason}


class Difference(NamedTuple):
    """Networks of one role of two results, `second - first`. `p` is two-sided and corrected for the number of
    differences looked at; None where so few networks cannot show any."""

    first: str
    second: str
    role: str
    change: float
    p: float | None


def differences(results: dict[str, list[Row]]) -> list[Difference]:
    """All pairs of results on the same dataset. The p-values are corrected by Holm's method over those that could
    be below ALPHA at all."""
    found = []
    for (first, a), (second, b) in itertools.combinations(results.items(), 2):
        if a[0]["dataset"] != b[0]["dataset"]:
            continue
        for role in COMPARED:
            x, y = accuracies(a, role), accuracies(b, role)
            if x and y:
                p = _two_sided(x, y) if 2 * smallest_p(len(x), len(y)) < ALPHA else None
                found.append(Difference(first, second, role, math.fsum(y) / len(y) - math.fsum(x) / len(x), p))
    return _holm(found)


def _two_sided(x: Sequence[float], y: Sequence[float]) -> float:
    values = permutation_test(x, y).value, permutation_test(y, x).value
    return min(1.0, 2 * min(value for value in values if value is not None))


def _holm(found: list[Difference]) -> list[Difference]:
    tested = sorted((d.p, i) for i, d in enumerate(found) if d.p is not None)
    corrected, highest = list(found), 0.0
    for rank, (p, i) in enumerate(tested):
        highest = max(highest, min(1.0, p * (len(tested) - rank)))
        corrected[i] = found[i]._replace(p=highest)
    return corrected


def find_tables(paths: Sequence[Path]) -> list[Path]:
    """metrics.parquet of each path: a table, an experiment's folder, or a folder of experiments. Each only once,
    however often its folder is named. What has none is reported and left out."""
    found: dict[Path, Path] = {}
    for path in paths:
        tables = [path] if path.is_file() else [path / "metrics.parquet"]
        if path.is_dir() and not tables[0].is_file():
            tables = sorted(path.glob("*/metrics.parquet"))
        if not tables or not tables[0].is_file():
            log.info("left out: %s: no metrics.parquet there; `snakemake %s/comparison.parquet` makes it", path, path)
            continue
        for table in tables:
            found.setdefault(table.resolve(), table)
    return list(found.values())


def read_metrics(path: Path) -> list[Row]:
    """A metrics table of this or another version. Raises UserError, one line, when it is none."""
    rows = _rows(path, "metrics", required=("network", "test_accuracy"))
    for row in rows:
        if row["network"] is None or not 0 <= (row["test_accuracy"] or 0.0) <= 1:
            raise UserError(f"{path}: test_accuracy {row['test_accuracy']} of {row['network']} is not a fraction 0..1")
        if row["role"] not in ROLES:
            row["role"], row["search_seed"] = role_of(row["network"])
    return rows


def read_results(paths: Sequence[Path]) -> dict[str, list[Row]]:
    """Metrics by the folder they are in. Raises UserError when there are none at all."""
    results = {}
    for path in find_tables(paths):
        try:
            results[str(path.parent)] = read_metrics(path)
        except ValueError as error:
            log.info("left out: %s", error)
    if not results:
        raise UserError("there is nothing to compare")
    return results


def joined(results: dict[str, list[Row]], found: Sequence[Difference]) -> pa.Table:
    """The comparison of each result, and in `differs_from` those whose found networks differ beyond the noise."""
    rows = []
    for name, metrics in results.items():
        beyond = [
            d for d in found if d.role == "searched" and d.p is not None and d.p < ALPHA and name in (d.first, d.second)
        ]
        others = [d.second if d.first == name else d.first for d in beyond]
        rows.append({"results": name} | summarise(metrics)[0] | {"differs_from": " ".join(others)})
    text = pa.string()
    return pa.Table.from_pylist(
        rows, schema=pa.schema([("results", text), *SCHEMAS["comparison"], ("differs_from", text)])
    )
