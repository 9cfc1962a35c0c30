"""The final network: of the search seed whose selected arc has the best shared validation accuracy."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from enas_core.console import UserError, log
from enas_core.files.atomic import write_bytes, write_text
from enas_core.files.tables import best_candidate, read_table
from enas_core.options import Parser, run_stage
from enas_core.spaces.micro.arc import MicroArc as Arc


def stage(options: argparse.Namespace) -> None:
    """The stage, from its options."""
    if (options.candidates is None) == (options.arc is None):
        raise UserError("--candidates or --arc is needed, one of the two")
    if options.arc is not None and options.arc_out is None:
        raise UserError("--arc needs --arc-out")
    if options.out is not None and len(options.models or ()) != len(options.candidates):
        raise UserError("--models: one folder is needed for each of --candidates")
    if options.arc is not None:
        write_text(options.arc_out, f"{Arc.parse(options.arc)}\n")
        return
    position, arc = best_candidate(options.candidates)
    log.info("%s has the best selected arc: %s", options.candidates[position], arc)
    if options.arc_out is not None:
        write_text(options.arc_out, arc + "\n")
        return
    folder = options.models[position]
    epochs = read_table(folder / "epochs.parquet", "augment_epochs")
    if not epochs or epochs[-1]["test_accuracy"] is None:
        raise UserError(f"{folder / 'epochs.parquet'}: has no test accuracy")
    check_network(folder / "model.pt", arc)
    write_bytes(options.out, (folder / "model.pt").read_bytes())
    log.info("%s is %s  test accuracy %.4f", options.out, folder / "model.pt", epochs[-1]["test_accuracy"])


def check_network(path: Path, arc: str) -> None:
    """Raises UserError unless `path` holds a trained network of `arc`."""
    from enas_core.spaces.saved import load_network  # takes seconds, which the other uses of this stage do not need

    if (found := str(load_network(path).arc)) != arc:
        raise UserError(f"{path}: is of arc {found}, the selected one is {arc}")


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = Parser("final", "Choose among search seeds by shared validation accuracy, never by test accuracy.")
    parser.add_argument("--candidates", type=Path, nargs="+", help="candidates.parquet of each search seed")
    parser.add_argument("--arc", help="an arc to write as it is, in place of --candidates")
    parser.add_argument("--models", type=Path, nargs="*", help="folder of each seed's trained network, same order")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, help="where to copy the chosen network (needs --models)")
    target.add_argument("--arc-out", type=Path, help="where to write the chosen arc")
    return run_stage(parser, stage, arguments)


if __name__ == "__main__":
    sys.exit(main())
