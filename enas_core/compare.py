"""Compare: found against random networks of one experiment, and experiments with each other.

As a stage (`--out-dir`) it writes metrics.parquet and comparison.parquet of one experiment. For people,
`python -m enas_core.compare results/cifar10 results/cifar10_corrected` shows one line for each, and says which
differences exceed the noise.

The unit of every statistic is a network: what one search has found, or one random arc. Its accuracy is the mean
over its augment seeds, since several trainings of the same arc say nothing more about searches or arcs.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from enas_core.analysis.comparison import differences, joined, summarise
from enas_core.analysis.results import read_results, read_search, read_training
from enas_core.analysis.sentences import as_text, sentences
from enas_core.console import UserError, log
from enas_core.files.atomic import atomic_path
from enas_core.files.tables import SCHEMAS, provenance, read_provenance, write_table
from enas_core.options import Parser, run_stage


def show(table: pa.Table, form: str, lines: Sequence[str]) -> None:
    """Print the table in a form; `lines` go below a text table, and to stderr beside the others."""
    if form == "table":
        return print("\n".join([as_text(table), "", *lines]))
    for line in lines:
        log.info("%s", line)
    if form == "json":
        return print(json.dumps(table.to_pylist(), indent=1))
    buffer = io.BytesIO()
    (pa.csv.write_csv if form == "csv" else pq.write_table)(table, buffer)
    sys.stdout.buffer.write(buffer.getvalue())
    sys.stdout.buffer.flush()


def write_comparison(networks: Sequence[Path], searches: Sequence[Path], out_dir: Path) -> None:
    """metrics.parquet, comparison.parquet and comparison.csv of one experiment."""
    by_seed = dict(read_search(folder) for folder in searches)
    metrics = [read_training(folder, by_seed) for folder in networks]
    row, reasons = summarise(metrics)
    made_by = read_provenance(networks[0] / "epochs.parquet")
    devices = " + ".join(sorted({str(m["device"]) for m in metrics}))
    made_by = provenance(devices, made_by.get("config_fingerprint", "unknown"))
    write_table(out_dir / "metrics.parquet", "metrics", metrics, made_by)
    write_table(out_dir / "comparison.parquet", "comparison", [row], made_by)
    with atomic_path(out_dir / "comparison.csv") as temporary:
        pa.csv.write_csv(pa.Table.from_pylist([row], schema=SCHEMAS["comparison"]), temporary)
    for line in sentences({row["experiment"]: metrics}, []):
        log.info("%s", line)
    for name, reason in reasons.items():
        log.info("%s: %s", name, reason)


def run(options: argparse.Namespace) -> None:
    """The stage, or the comparison for people."""
    if (options.out_dir is None) == (not options.results):
        raise UserError("RESULTS_DIR or --out-dir is needed, one of the two")
    if options.out_dir is not None:
        if not options.networks:
            raise UserError("--out-dir needs --networks")
        return write_comparison(options.networks, options.searches, options.out_dir)
    if options.format == "parquet" and sys.stdout.isatty():
        raise UserError("--format parquet is not for a terminal: add `> FILE`")
    results = read_results(options.results)
    found = differences(results)
    show(joined(results, found), options.format, sentences(results, found))


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = Parser("compare", "Compare found with random networks, and experiments with each other.")
    parser.add_argument(
        "results", type=Path, nargs="*", metavar="RESULTS_DIR", help="an experiment's results, or a folder of several"
    )
    parser.add_argument(
        "--format", choices=("table", "csv", "json", "parquet"), default="table", help="printed form (%(default)s)"
    )
    stage = parser.add_argument_group("as a stage of the workflow")
    stage.add_argument("--networks", type=Path, nargs="+", help="folder of each training of the experiment")
    stage.add_argument("--searches", type=Path, nargs="*", default=[], help="folder of each search seed")
    stage.add_argument("--out-dir", type=Path, help="where to write metrics.parquet, comparison.parquet and .csv")
    return run_stage(parser, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
