"""Command `compare`: found against random networks of one experiment, and experiments with each other.

As a stage (`--out-dir`) it reads the folders of an experiment's trainings and searches and writes metrics.parquet and
comparison.parquet; with `--halving-out` it writes what stopping those trainings early would have kept. For people,
`compare results/cifar10 results/cifar10_corrected` reads such tables, shows one line for each, and says which
differences exceed the noise.

The unit of every statistic is a network: what one search has found, or one random arc. Its accuracy is the mean over
its augment seeds, since several trainings of the same arc say nothing more about searches or arcs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from enas_core.console import UserError
from enas_core.files.lock import only_writer
from enas_core.options import run_command, several

AS_A_STAGE = Group("As a stage of the workflow")


def compare(
    results: Annotated[
        Sequence[Path],
        Parameter(
            negative="",
            show_default=False,
            metavar="RESULTS_DIR",
            help="an experiment's results, or a folder of some",
        ),
    ] = (),
    /,
    *,
    format: Annotated[Literal["table", "csv", "json", "parquet"], Parameter(help="printed form")] = "table",
    networks: Annotated[
        Sequence[Path], several(1, group=AS_A_STAGE, help="folder of each training of the experiment")
    ] = (),
    searches: Annotated[Sequence[Path], several(0, group=AS_A_STAGE, help="folder of each search seed")] = (),
    out_dir: Annotated[
        Path | None,
        Parameter(group=AS_A_STAGE, help="where to write metrics.parquet, comparison.parquet and .csv"),
    ] = None,
    halving_out: Annotated[
        Path | None,
        Parameter(group=AS_A_STAGE, help="file for the replay of successive halving, halving.parquet"),
    ] = None,
) -> None:
    """Compare found with random networks, and experiments with each other.

    Example: enas compare results/cifar10 results/cifar10_corrected
    """
    as_a_stage = out_dir is not None or halving_out is not None
    if as_a_stage == bool(results):
        raise UserError("RESULTS_DIR or --out-dir (--halving-out) is needed, one of the two")
    if as_a_stage and not networks:
        raise UserError("--out-dir and --halving-out need --networks")
    if not as_a_stage and format == "parquet" and sys.stdout.isatty():
        raise UserError("--format parquet is not for a terminal: add `> FILE`")

    from enas_core.analysis.output import show_comparison, write_comparison, write_halving

    if out_dir is not None:
        with only_writer(out_dir / "comparison.parquet"):
            write_comparison(networks, searches, out_dir)
    if halving_out is not None:
        with only_writer(halving_out):
            write_halving(networks, halving_out)
    if not as_a_stage:
        show_comparison(results, format)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(compare, arguments)


if __name__ == "__main__":
    sys.exit(main())
