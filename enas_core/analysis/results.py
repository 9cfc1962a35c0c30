"""Reading results: the trainings and searches of one experiment, and the metrics of finished ones.

`enas_core.compare` as a stage reads the folders of trainings (`epochs.parquet`; `model.pt` too where an earlier version
has written them) and of searches (`epochs.parquet`, `candidates.parquet`, `signal.parquet`); for people it
reads `metrics.parquet` of any number of experiments, with the signal check in `comparison.parquet` beside it. The
figures of the report read them too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from enas_core.analysis.identity import Common, facts_of
from enas_core.analysis.statistics import mean_of_known
from enas_core.console import UserError, log, shown
from enas_core.files.tables import read_provenance, read_table
from enas_core.settings.networks import RESULTS, ROLES

Row = dict[str, Any]

SIGNAL_COLUMNS = (
    *("signal", "num_searches", "signal_seed"),
    *("chance", "candidates_low", "candidates_mean", "candidates_high"),
    *("reliability", "reliability_low", "reliability_high"),
    *("agreement", "agreement_low", "agreement_high"),
)
"""Columns of `comparison` that come from the searches, and so cannot be made from `metrics` again."""


class SearchResult(NamedTuple):
    """What one search cost, and its shared accuracy of each arc that it has scored."""

    seconds: float
    accuracies: dict[str, float]
    random: dict[str, float]
    """Those of them that are random arcs, which every search of the experiment has scored."""
    signal: Row | None
    """Its signal check; None where an earlier version has written the results."""
    experiment: str
    """The one that it belongs to, which may be a variant of one in config.yaml."""
    entropy: float | None
    """Of the arcs that its policy proposed in the last epoch, nats; None where nothing learns."""
    selected: str | None = None
    """The arc that was selected; None where nothing was."""
    strategy: str | None = None
    """How that was selected."""
    select_seconds: float | None = None
    """What the choice of its arc took; None where an earlier version has not recorded it."""


def read_search(folder: Path, common: Common | None = None) -> tuple[int, SearchResult]:
    """Seed and result of the search in `folder`. Raises UserError where its tables are not of one search, or not of the
    experiment that has `common` facts."""
    common = Common() if common is None else common
    trained, scored = folder / "epochs.parquet", folder / "candidates.parquet"
    checked, tried = folder / "signal.parquet", folder / "strategies.parquet"
    epochs = _read_rows(trained, "search_epochs")
    candidates = _read_rows(scored, "candidates")
    strategies = read_table(tried, "strategies") if tried.exists() else []
    signal = _read_rows(checked, "signal")[0] if checked.exists() else None

    last = epochs[-1]
    common.require_first(trained, f"the search with seed {last['seed']}")
    own = Common()
    for path, row in ((trained, last), (tried, strategies[0] if strategies else None), (checked, signal)):
        if row is not None:
            common.require(path, facts_of(row))
            own.require(path, {"seed": row["seed"]})
    common.require(scored, facts_of(read_provenance(scored).get("settings")))
    common.require_arcs(scored, candidates)
    common.require_arcs(tried, strategies)

    selected = next((row for row in candidates if row["selected"]), None)
    return last["seed"], SearchResult(
        seconds=math.fsum(row["seconds"] for row in epochs),
        accuracies={row["arc"]: row["valid_accuracy"] for row in [*strategies, *candidates]},
        random={row["arc"]: row["valid_accuracy"] for row in candidates if row["source"] == "random"},
        signal=signal,
        experiment=last["experiment"],
        entropy=last["controller_entropy"],
        selected=selected["arc"] if selected else None,
        strategy=strategy_of(selected) if selected else None,
        select_seconds=signal["seconds"] if signal else None,
    )


def strategy_of(candidate: Row) -> str:
    """How an arc that could be selected was proposed, by its row of candidates.parquet."""
    name: str = "policy" if candidate["source"] == "policy" else candidate["policy"]
    return name


def read_training(folder: Path, searches: Mapping[int, SearchResult], common: Common | None = None) -> Row:
    """The row of `metrics` of the training in `folder`. `searches` are those of the experiment, by seed. Raises
    UserError where it is not one of the experiment that has `common` facts."""
    path = folder / "epochs.parquet"
    epochs = _read_rows(path, "augment_epochs")
    last = epochs[-1]
    made_by = read_provenance(path)
    role, search_seed = _origin(path, made_by)
    params, macs = made_by.get("params"), made_by.get("macs")
    if params is None or macs is None:  # an earlier version has written the table
        params, macs = _network_size(folder / "model.pt")
    own_search = searches.get(search_seed) if search_seed is not None else None
    _require_own(path, last, role, made_by, own_search, Common() if common is None else common)
    # A random network may be another experiment's. All rows of a table are of one experiment, whose searches are given.
    of_searches = [search.experiment for search in searches.values()]
    return {
        "experiment": of_searches[0] if of_searches else last["experiment"],
        "trained_by": last["experiment"],
        "dataset": last["dataset"],
        "network": last["network"],
        "role": role,
        "space": last["space"],
        "arc": last["arc"],
        "search_seed": search_seed,
        "seed": last["seed"],
        "params": params,
        "macs": macs,
        "shared_accuracy": _shared_accuracy(last["arc"], [own_search] if own_search else list(searches.values())),
        "test_accuracy": last["test_accuracy"],
        "balanced_accuracy": last["test_balanced_accuracy"],
        "test_error": 1 - last["test_accuracy"],
        "epochs": len(epochs),
        "seconds": math.fsum(row["seconds"] for row in epochs),
        "search_seconds": own_search.seconds if own_search else None,
        "device": made_by.get("device"),
        "valid_accuracy": last["valid_accuracy"],
        "strategy": own_search.strategy if own_search and role == "searched" else made_by.get("strategy"),
        "select_seconds": own_search.select_seconds if own_search else None,
        "git_commit": made_by.get("git_commit"),
    }


def _require_own(
    path: Path, row: Row, role: str, made_by: Mapping[str, Any], own_search: SearchResult | None, common: Common
) -> None:
    """Raise UserError unless the training that wrote `path` is of the experiment, and of the arc that its search has
    found."""
    common.require_first(path, f"the training of {row['network']} with seed {row['seed']}")
    common.require_arcs(path, [row])
    common.require(path, {"dataset": row["dataset"]})
    # Random networks may all be another experiment's.
    group = "random networks' " if role == "random" else ""
    settings = made_by.get("config_fingerprint")
    common.require(path, {f"{group}experiment": row["experiment"], f"{group}settings of augment": settings})
    found = own_search.selected if own_search and role == "searched" else None
    if found not in (None, row["arc"]):
        raise UserError(f"{path}: is of arc {shown(row['arc'])}, its search has found {shown(found)}")


def random_trainings(folders: Sequence[Path]) -> list[list[Row]]:
    """The epochs of each training of a random arc among those in `folders`."""
    paths = [folder / "epochs.parquet" for folder in folders]
    random = [path for path in paths if _origin(path, read_provenance(path))[0] == "random"]
    return [_read_rows(path, "augment_epochs") for path in random]


def finished_trainings(folder: Path, fingerprint: str) -> list[Row]:
    """Network, role and test accuracy of an experiment's trainings that are finished, from their tables alone. Those of
    other settings than the ones with this fingerprint count for nothing, and neither does what is no such table."""
    trainings = []
    for path in sorted(folder.glob("networks/*/seed*/epochs.parquet")):
        try:
            last = _read_rows(path, "augment_epochs", required=("network", "test_accuracy"))[-1]
            made_by = read_provenance(path)
            role, _ = _origin(path, made_by)
        except UserError:
            continue
        if made_by.get("config_fingerprint") == fingerprint:
            trainings.append({"network": last["network"], "role": role, "test_accuracy": last["test_accuracy"]})
    return trainings


def _origin(path: Path, made_by: Mapping[str, Any]) -> tuple[str, int | None]:
    """Role of the network whose training wrote `path`, and the seed of the search that found it."""
    role = made_by.get("role")
    if role not in ROLES:
        raise UserError(
            f"{path}: does not say where its network comes from, as an earlier version wrote it: train it again,"
            " or give enas_core.augment the option --role"
        )
    return role, made_by.get("search_seed")


def _shared_accuracy(arc: str, searches: Sequence[SearchResult]) -> float | None:
    """Mean shared accuracy of an arc over the searches that have scored it."""
    return mean_of_known(search.accuracies.get(arc) for search in searches)


def _network_size(path: Path) -> tuple[int, int]:
    """Parameters and multiply-accumulates of the network in a model.pt, without its auxiliary head."""
    from enas_core.spaces.measure import network_size
    from enas_core.spaces.saved import load_untrained

    size = network_size(load_untrained(path))
    return size.params, size.macs


def read_results(paths: Sequence[Path]) -> dict[str, list[Row]]:
    """Metrics by the folder that they are in. What cannot be read is reported and left out; raises UserError when
    nothing is left."""
    results = {}
    for path in find_metrics(paths):
        try:
            metrics = read_metrics(path)
            _require_own_comparison(path, metrics[0])
            results[str(path.parent)] = metrics
        except UserError as error:
            log.info("left out: %s", error)
    if not results:
        raise UserError(f"there is nothing to compare in {', '.join(map(str, paths))}; {_what_exists(paths)}")
    return results


def _require_own_comparison(path: Path, row: Row) -> None:
    """Raise UserError where the comparison beside a table of metrics is of another experiment."""
    beside = path.parent / "comparison.parquet"
    if not beside.exists():
        return
    common = Common()
    common.require(path, facts_of(row))
    try:
        compared = read_table(beside, "comparison", required=("experiment",))[0]
    except UserError:
        return  # `read_checked` reports it
    common.require(beside, facts_of(compared))


def _what_exists(paths: Sequence[Path]) -> str:
    """The results near `paths` that could be compared instead, as the end of a sentence."""
    folders = dict.fromkeys([*[path.parent for path in paths], RESULTS])
    found = [str(table.parent) for folder in folders for table in _metrics_below(folder)]
    return f"there are {', '.join(dict.fromkeys(found))}" if found else f"{RESULTS} has no finished comparison either"


def read_checked(folder: Path) -> Row:
    """The signal check of the experiment in `folder`, as columns of its comparison. Empty where no comparison tells it,
    as in results of an earlier version; one that cannot be read is reported."""
    path = folder / "comparison.parquet"
    if not path.exists():
        return {}
    try:
        row = _read_rows(path, "comparison", required=("experiment",))[0]
    except UserError as error:
        log.info("left out: %s", error)
        return {}
    return {name: row[name] for name in SIGNAL_COLUMNS}


def read_halving(folder: Path) -> list[Row]:
    """The replay of successive halving of the experiment in `folder`. Empty where there is none; one that cannot be
    read is reported."""
    path = folder / "halving.parquet"
    if not path.exists():
        return []
    try:
        return _read_rows(path, "halving")
    except UserError as error:
        log.info("left out: %s", error)
        return []


def find_metrics(paths: Sequence[Path]) -> list[Path]:
    """metrics.parquet of each path, which is a table, an experiment's folder, or a folder of experiments. Each table
    comes once, however often its folder is named. A path without any is reported and left out."""
    found: dict[Path, Path] = {}
    for path in paths:
        tables = _metrics_below(path)
        if not tables and not path.exists():
            log.info("left out: %s: there is no such folder", path)
        elif not tables:
            log.info("left out: %s: no metrics.parquet there; `snakemake %s/comparison.parquet` makes it", path, path)
        for table in tables:
            found.setdefault(table.resolve(), table)
    return list(found.values())


def _metrics_below(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if (path / "metrics.parquet").is_file():
        return [path / "metrics.parquet"]
    return [table for table in sorted(path.glob("*/metrics.parquet")) if table.is_file()]


def read_metrics(path: Path) -> list[Row]:
    """A metrics table of this or another version. Raises UserError, one line, when it is none."""
    rows = _read_rows(path, "metrics", required=("network", "role", "test_accuracy"))
    for row in rows:
        if row["network"] is None or row["role"] is None:
            raise UserError(f"{path}: a row has no network or no role")
        if not 0 <= (row["test_accuracy"] or 0.0) <= 1:
            raise UserError(f"{path}: test_accuracy {row['test_accuracy']} of {row['network']} is not a fraction 0..1")
    return rows


def _read_rows(path: Path, kind: str, required: Sequence[str] | None = None) -> list[Row]:
    """Rows of a table that must have some."""
    rows = read_table(path, kind, required)
    if not rows:
        raise UserError(f"{path}: holds no rows")
    return rows
