"""How a comparison leaves the program: the files that the stage `compare` writes, and what it prints for people."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from enas_core.analysis.comparison import check_searches, differences, joined, summarise
from enas_core.analysis.halving import about_halving, halving_rows
from enas_core.analysis.identity import Common
from enas_core.analysis.results import (
    random_trainings,
    read_checked,
    read_halving,
    read_results,
    read_search,
    read_training,
)
from enas_core.analysis.sentences import as_text, sentences
from enas_core.console import escaped, log
from enas_core.files.atomic import atomic_path
from enas_core.files.schemas import SCHEMAS
from enas_core.files.tables import provenance, read_provenance, read_table, write_table


def write_comparison(networks: Sequence[Path], searches: Sequence[Path], out_dir: Path) -> None:
    """Write metrics.parquet, comparison.parquet and comparison.csv of one experiment, from the folders of its trainings
    and its searches."""
    common = Common()
    by_seed = dict(read_search(folder, common) for folder in searches)
    metrics = [read_training(folder, by_seed, common) for folder in networks]
    checked, unchecked = check_searches(list(by_seed.values()))
    row, reasons = summarise(metrics, checked)
    made_by = read_provenance(networks[0] / "epochs.parquet")
    devices = " + ".join(sorted({str(m["device"]) for m in metrics}))
    made_by = provenance(devices, made_by.get("config_fingerprint", "unknown"), made_by.get("settings"))
    write_table(out_dir / "metrics.parquet", "metrics", metrics, made_by)
    write_table(out_dir / "comparison.parquet", "comparison", [row], made_by)
    with atomic_path(out_dir / "comparison.csv") as temporary:
        pa.csv.write_csv(pa.Table.from_pylist([row], schema=SCHEMAS["comparison"]), temporary)
    for line in sentences({row["experiment"]: metrics}, [], {row["experiment"]: checked}):
        log.info("%s", line)
    for name, reason in (reasons | unchecked).items():
        log.info("%s: %s", name, reason)


def write_halving(networks: Sequence[Path], out: Path) -> None:
    """Write halving.parquet of one experiment: what stopping early would have kept of its random arcs. The first of its
    trainings, whose folders are given, is its own; random arcs may be another experiment's."""
    own = networks[0] / "epochs.parquet"
    first = read_table(own, "augment_epochs")[0]
    about = {"experiment": first["experiment"], "dataset": first["dataset"]}
    rows = [about | row for row in halving_rows(random_trainings(networks))]
    made_by = read_provenance(own)
    devices = made_by.get("device", "unknown")
    made_by = provenance(devices, made_by.get("config_fingerprint", "unknown"), made_by.get("settings"))
    write_table(out, "halving", rows, made_by)
    log.info("%s: %s", first["experiment"], about_halving(rows))


def show_comparison(results: Sequence[Path], form: str) -> None:
    """Print the comparison of several experiments: as a `table` with sentences below it, or as `csv`, `json` or
    `parquet` with the sentences on stderr."""
    metrics = read_results(results)
    found = differences(metrics)
    checked = {name: read_checked(Path(name)) for name in metrics}
    halved = {name: read_halving(Path(name)) for name in metrics}
    table, lines = joined(metrics, found, checked), sentences(metrics, found, checked, halved)
    if form == "table":
        print(escaped("\n".join([as_text(table), "", *lines])))
        return
    for line in lines:
        log.info("%s", line)
    if form == "json":
        print(json.dumps(table.to_pylist(), indent=1))
        return
    buffer = io.BytesIO()
    write = pa.csv.write_csv if form == "csv" else pa.parquet.write_table
    write(table, buffer)
    sys.stdout.buffer.write(buffer.getvalue())
    sys.stdout.buffer.flush()
