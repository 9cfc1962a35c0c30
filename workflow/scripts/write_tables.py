"""The comparison, the trained networks, and the settings with their provenance, as HTML."""

from pathlib import Path

import reporting

from enas_core.analysis.comparison import summarise
from enas_core.files.tables import SCHEMAS, read_provenance, read_table
from enas_core.settings.describe import describe
from enas_core.settings.experiment import Experiment
from enas_core.settings.stages import STAGES, load_stage_settings

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
    "kendall_tau": "rank correlation of shared-weight and test accuracy, -1..1",
    "tau_low": "lower end of its 95 % interval",
    "tau_high": "upper end of its 95 % interval",
    "searched_params_mean": "mean number of parameters of the found networks",
    "random_params_mean": "mean number of parameters of the random networks",
    "search_hours": "device-hours of all searches",
    "train_hours": "device-hours of all trainings",
}


def settings_rows(folder: Path) -> list[list[str]]:
    """Stage, key, value and meaning of every setting."""
    common = {name: " ".join((field.description or "").split()) for name, field in Experiment.model_fields.items()}
    rows = []
    for stage, model in STAGES.items():
        for line in filter(None, describe(load_stage_settings(folder / f"{stage}.json", model))):
            (key, rest) = line.split(" = ", 1)
            value, _, meaning = rest.partition("  # ")
            rows.append([stage, key, value, meaning or common.get(key, "")])
    return rows


reporting.start(snakemake.log[0])
name = snakemake.wildcards.experiment
metrics = read_table(Path(snakemake.input.metrics), "metrics")

row, reasons = summarise(metrics)
bounds = {"ri_low": "relative_improvement", "ri_high": "relative_improvement"}
bounds |= {"tau_low": "kendall_tau", "tau_high": "kendall_tau"}
comparison = [
    [column, row[column], meaning, reasons.get(column if row[column] is not None else bounds.get(column, column), "")]
    for column, meaning in MEANINGS.items()
]
title = f"{name}: found against random"
page = reporting.table(title, ["quantity", "value", "meaning", "remark"], comparison)
reporting.write_page(snakemake.output.comparison, title, [page])

columns = [column for column in SCHEMAS["metrics"].names if column not in ("experiment", "dataset", "arc")] + ["arc"]
title = f"{name}: trained networks"
rows = [[m[column] for column in columns] for m in sorted(metrics, key=lambda m: -m["test_accuracy"])]
reporting.write_page(snakemake.output.networks, title, [reporting.table(title, columns, rows)])

title = f"{name}: settings and provenance"
config = Path(snakemake.input.config[0]).parent
made = {path: read_provenance(Path(path)) for path in [*snakemake.input.tables, snakemake.input.metrics]}
facts = ["enas_version", "git_commit", "torch_version", "device", "config_fingerprint"]
pages = [
    reporting.table("Settings of each stage", ["stage", "setting", "value", "meaning"], settings_rows(config)),
    reporting.table("What made each table", ["file", *facts], ([p, *map(made[p].get, facts)] for p in made)),
]
reporting.write_page(snakemake.output.settings, title, pages)
