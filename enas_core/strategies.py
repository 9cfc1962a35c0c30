"""Command `strategies`: gather what several strategies have evaluated to choose an arc after one search.

Reads the tables of candidates that `select_arc` has written, the search's own and one for each further strategy; writes
`strategies.parquet`, an evaluation a row.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.fields import Seed
from enas_core.options import ConfigFile, bounded, run_command, several
from enas_core.settings.stages import StrategiesStage, fingerprint, plain, read_stage


def strategies(
    *,
    config: ConfigFile,
    seed: Annotated[int, bounded(Seed, help="seed of the search")],
    candidates: Annotated[Sequence[Path], several(1, help="candidates.parquet of each strategy")],
    out: Annotated[Path, Parameter(help="table to write")],
) -> None:
    """Gather what each strategy has evaluated to choose an arc, an evaluation a row.

    Example: enas strategies --config config/strategies.json --seed 1 --candidates search/s1/own/candidates.parquet
    --out search/s1/strategies.parquet
    """
    settings = read_stage(config, StrategiesStage)

    from enas_core.analysis.strategies import evaluations
    from enas_core.files.tables import provenance, read_provenance, read_table, write_table

    rows = [row for path in candidates for row in evaluations(read_table(path, "candidates"))]
    of_search = {"experiment": settings.experiment, "dataset": settings.dataset, "seed": seed}
    made_by = provenance(read_provenance(candidates[0]).get("device", "cpu"), fingerprint(settings), plain(settings))
    write_table(out, "strategies", [of_search | row for row in rows], made_by)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(strategies, arguments)


if __name__ == "__main__":
    sys.exit(main())
