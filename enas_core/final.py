"""The final network: of the search seed whose selected arc has the best shared validation accuracy."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from enas_core import cli
from enas_core.cli import log
from enas_core.tables import atomic_path, best_candidate, read_table, write_text


def stage(options: argparse.Namespace) -> None:
    """The stage, from its options."""
    position, arc = best_candidate(options.candidates)
    log.info("%s has the best selected arc: %s", options.candidates[position], arc)
    if options.arc_out is not None:
        write_text(options.arc_out, arc + "\n")
    if options.models:
        folder = options.models[position]
        with atomic_path(options.out) as temporary:
            shutil.copyfile(folder / "model.pt", temporary)
        accuracy = read_table(folder / "epochs.parquet", "augment_epochs")[-1]["test_accuracy"]
        log.info("%s is %s  test accuracy %.4f", options.out, folder / "model.pt", accuracy)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = cli.Parser("final", "Choose among search seeds by shared validation accuracy, never by test accuracy.")
    parser.add_argument(
        "--candidates", type=Path, nargs="+", required=True, help="candidates.parquet of each search seed"
    )
    parser.add_argument("--models", type=Path, nargs="*", help="folder of each seed's trained network, same order")
    parser.add_argument("--out", type=Path, help="where to copy the chosen network")
    parser.add_argument("--arc-out", type=Path, help="where to write the chosen arc")
    return cli.run_stage(parser, stage, arguments)


if __name__ == "__main__":
    sys.exit(main())
