"""The comparison, the trained networks, and the settings with their provenance, as HTML."""

from pathlib import Path

import reporting

from enas_core.analysis.comparison import check_searches, summarise
from enas_core.analysis.results import SearchResult, read_search
from enas_core.files.schemas import SCHEMAS
from enas_core.files.tables import read_provenance, read_table
from enas_core.settings.describe import describe
from enas_core.settings.stages import STAGES, read_stage

MEANINGS = {
    "n_searched": "networks found, one for each search seed",
    "n_random": "random networks",
    "searched_mean": "mean test accuracy of the found networks",
    "searched_std": "standard deviation between found networks",
    "random_mean": "mean test accuracy of the random networks",
    "random_std": "standard deviation between random networks",
    "relative_improvement": "100 (found mean - random mean) / random mean, %",
    "ri_low": "lower end of its 95 % interval, %",
    "ri_high": "upper end of its 95 % interval, %",
    "p_value": "probability of such a difference by chance (permutation test, one-sided)",
    "searched_balanced_mean": "the found networks' mean over the classes, where each class counts alike",
    "random_balanced_mean": "the same of the random networks",
    "kendall_tau": "rank correlation of shared-weight and test accuracy, -1..1",
    "tau_low": "lower end of its 95 % interval",
    "tau_high": "upper end of its 95 % interval",
    "searched_params_mean": "mean number of parameters of the found networks",
    "random_params_mean": "mean number of parameters of the random networks",
    "search_hours": "device-hours of all searches",
    "train_hours": "device-hours of all trainings",
    "signal": "what the shared weights' order is worth in the weakest search: at chance (they have not learned),"
    " order is noise (they do not tell arcs apart), order repeats (right or not)",
    "num_searches": "searches that were checked for it",
    "signal_seed": "seed of the weakest search; the following rows are of it",
    "chance": "accuracy of always answering the commonest class of the validation images",
    "candidates_low": "lowest shared-weight accuracy of its candidates",
    "candidates_mean": "mean shared-weight accuracy of its candidates",
    "candidates_high": "highest shared-weight accuracy of its candidates",
    "reliability": "how far their order would repeat on other images (split halves, rank correlation), -1..1",
    "reliability_low": "lower end of its 95 % interval",
    "reliability_high": "upper end of its 95 % interval",
    "agreement": "rank correlation of the random arcs' shared-weight accuracies between search seeds, -1..1",
    "agreement_low": "lower end of its 95 % interval",
    "agreement_high": "upper end of its 95 % interval",
    "k": "networks that are looked at first, by shared-weight accuracy: a quarter",
    "precision_at_k": "fraction of them among the k best by test accuracy",
    "regret_at_k": "what the best of them lacks to the best of all, test accuracy",
}

BOUNDS = {
    "ri_low": "relative_improvement",
    "ri_high": "relative_improvement",
    "tau_low": "kendall_tau",
    "tau_high": "kendall_tau",
    **dict.fromkeys(["num_searches", "signal_seed", "chance"], "signal"),
    **dict.fromkeys(["candidates_low", "candidates_mean", "candidates_high"], "signal"),
    "reliability_low": "reliability",
    "reliability_high": "reliability",
    "agreement_low": "agreement",
    "agreement_high": "agreement",
    "precision_at_k": "k",
    "regret_at_k": "k",
}
"""Ends of intervals and the like, and the quantity whose remark says why there is none."""

MANY_TABLES = 100
"""Tables of more trainings than so many, which were made alike, are shown as one."""

PROVENANCE = ("enas_version", "git_commit", "torch_version", "device", "config_fingerprint")


def write_comparison(path: str, name: str, metrics: list[dict], searches: list[SearchResult]) -> None:
    """One row a quantity."""
    checked, unchecked = check_searches(searches)
    summary, reasons = summarise(metrics, checked)
    reasons |= unchecked
    rows = []
    for column, meaning in MEANINGS.items():
        value = summary[column]
        reason_of = BOUNDS.get(column, column) if value is None else column
        rows.append([column, value, meaning, reasons.get(reason_of, "")])
    title = f"{name}: found against random"
    table = reporting.table(title, ["quantity", "value", "meaning", "remark"], rows)
    reporting.write_page(path, title, [table])


def write_networks(path: str, name: str, metrics: list[dict]) -> None:
    """One row a training, the best first; the long arc is the last column."""
    shown = [column for column in SCHEMAS["metrics"].names if column not in ("experiment", "dataset", "arc")]
    columns = [*shown, "arc"]
    best_first = sorted(metrics, key=lambda row: -row["test_accuracy"])
    title = f"{name}: trained networks"
    table = reporting.table(title, columns, [[row[column] for column in columns] for row in best_first])
    reporting.write_page(path, title, [table])


def what_made(table: str) -> tuple[str | None, ...]:
    """What the table says of itself."""
    made_by = read_provenance(Path(table))
    return tuple(made_by.get(fact) for fact in PROVENANCE)


def makers_of_trainings(tables: list[str]) -> list[list[str | None]]:
    """One row a training; a row for all that were made alike where they are many."""
    alike: dict[tuple[str | None, ...], list[str]] = {}
    for table in tables:
        alike.setdefault(what_made(table), []).append(table)
    rows = []
    for facts, files in alike.items():
        shown = files if len(files) <= MANY_TABLES else [f"{files[0]} and {len(files) - 1} others"]
        rows += [[file, *facts] for file in shown]
    return rows


def write_settings(path: str, name: str, stages: list[Path], tables: list[str], trainings: list[str]) -> None:
    """The settings as each stage has seen them, and what made each table."""
    settings = []
    for file in stages:
        described = describe(read_stage(file, STAGES[file.stem]))
        settings += [[file.stem, row.key, row.value, row.meaning] for row in described]
    makers = [[table, *what_made(table)] for table in tables] + makers_of_trainings(trainings)
    pages = [
        reporting.table("Settings of each stage", ["stage", "setting", "value", "meaning"], settings),
        reporting.table("What made each table", ["file", *PROVENANCE], makers),
    ]
    reporting.write_page(path, f"{name}: settings and provenance", pages)


reporting.start(snakemake.log[0])
experiment, files = snakemake.wildcards.experiment, snakemake.input
metrics = read_table(Path(files.metrics), "metrics")
searches = [read_search(Path(table).parent)[1] for table in files.candidates]
write_comparison(snakemake.output.comparison, experiment, metrics, searches)
write_networks(snakemake.output.networks, experiment, metrics)
tables = [files.random_arcs, *files.searches, *files.candidates, *files.signals, files.metrics]
write_settings(snakemake.output.settings, experiment, list(map(Path, files.config)), tables, list(files.epochs))
