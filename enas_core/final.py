"""Command `final`: the network of the search seed whose selected arc has the best shared accuracy.

Reads the tables of candidates of all search seeds and the folders of their trained networks; writes the chosen network.
The rule `named_arc` calls it for an arc's text file alone: that of the best search seed, or an arc that is given.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.analysis.identity import Common, facts_of
from enas_core.console import UserError, log
from enas_core.files.atomic import write_bytes, write_text
from enas_core.files.lock import only_writer
from enas_core.files.reading import read_bytes
from enas_core.options import run_command, several
from enas_core.settings.experiment import DEFAULT_SPACE
from enas_core.spaces import space_class


def final(
    *,
    candidates: Annotated[Sequence[Path], several(1, help="candidates.parquet of each search seed")] = (),
    arc: Annotated[str | None, Parameter(help="an arc to write as it is, in place of --candidates")] = None,
    space: Annotated[str, Parameter(help="search space of --arc")] = DEFAULT_SPACE,
    models: Annotated[Sequence[Path], several(0, help="folder of each seed's trained network, same order")] = (),
    out: Annotated[Path | None, Parameter(help="where to copy the chosen network (needs --models)")] = None,
    arc_out: Annotated[Path | None, Parameter(help="where to write the chosen arc, in place of --out")] = None,
) -> None:
    """Choose among search seeds by shared accuracy, never by test accuracy.

    Example: enas final --candidates s1/candidates.parquet s2/candidates.parquet --models m1 m2 --out final.pt
    """
    if bool(candidates) == (arc is not None):
        raise UserError("--candidates or --arc is needed, one of the two")
    if arc is not None and arc_out is None:
        raise UserError("--arc needs --arc-out")
    if (out is None) == (arc_out is None):
        raise UserError("--out or --arc-out is needed, one of the two")
    if out is not None and len(models) != len(candidates):
        raise UserError("--models: one folder is needed for each of --candidates")

    if arc is not None and arc_out is not None:
        write_text(arc_out, f"{space_class(space).of_text(arc)[1]}\n")
    elif arc_out is not None:
        with only_writer(arc_out):
            write_text(arc_out, f"{best_of(candidates, Common())[1]}\n")
    elif out is not None:
        with only_writer(out):
            common = Common()
            position, chosen = best_of(candidates, common)
            copy_network(models[position], chosen, out, common)


def best_of(candidates: Sequence[Path], common: Common) -> tuple[int, str]:
    """Position of the search seed whose selected arc is the best, and that arc. Raises UserError unless all tables are
    of one experiment, whose facts are `common`."""
    from enas_core.files.tables import best_candidate, read_provenance, read_table

    for path in candidates:
        common.require(path, facts_of(read_provenance(path).get("settings")))
        common.require_arcs(path, read_table(path, "candidates"))
    position, arc = best_candidate(candidates)
    log.info("%s has the best selected arc: %s", candidates[position], arc)
    return position, arc


def copy_network(folder: Path, arc: str, out: Path, common: Common) -> None:
    """Copy the trained network of `folder` to `out`. Raises UserError unless it is one of `arc`, complete, and of the
    experiment with `common` facts."""
    from enas_core.files.tables import read_table

    table, network = folder / "epochs.parquet", folder / "model.pt"
    last = read_table(table, "augment_epochs")[-1]
    common.require(table, facts_of(last))
    check_network(network, arc, common)
    write_bytes(out, read_bytes(network))
    log.info("%s is %s  test accuracy %.4f", out, network, last["test_accuracy"])


def check_network(path: Path, arc: str, common: Common) -> None:
    """Raises UserError unless `path` holds a trained network of `arc`, of the experiment with `common` facts."""
    from enas_core.spaces.saved import load_network

    network = load_network(path)
    if str(network.arc) != arc:
        raise UserError(f"{path}: is of arc {network.arc}, the selected one is {arc}")
    common.require(path, {"experiment": network.experiment, "dataset": network.dataset or None})


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(final, arguments)


if __name__ == "__main__":
    sys.exit(main())
