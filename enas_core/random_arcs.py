"""Command `random_arcs`: draw random arcs and print them, one a line.

As a stage, with `--config`, it writes the table of the first `--count` arcs, `random_arcs.parquet`; the rule
`random_arc` calls it for the text file of one of them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.console import UserError, log
from enas_core.files.atomic import write_text
from enas_core.options import TogetherInOneClass, bounded, run_command
from enas_core.settings.experiment import Baseline, Experiment, RandomArcs
from enas_core.settings.stages import RandomArcsSettings, fingerprint, load_stage_settings
from enas_core.spaces.draw_arcs import draw_arcs, network_name

NumberOfArcs = Annotated[int, Baseline.model_fields["num_arcs"]]


class DrawOptions(RandomArcs, strict=False):
    """How arcs are drawn without `--config`, with the defaults and bounds of an experiment."""

    num_nodes: Annotated[int, Experiment.model_fields["num_nodes"]]


DEFAULTS = DrawOptions()


def random_arcs(
    *,
    draw: Annotated[DrawOptions, TogetherInOneClass] = DEFAULTS,
    count: Annotated[int | None, bounded(NumberOfArcs, help="number of arcs (default when printing: 1)")] = None,
    config: Annotated[
        Path | None, Parameter(help="resolved settings (config/random_arcs.json) in place of these options")
    ] = None,
    out: Annotated[Path | None, Parameter(help="table to write, with --config")] = None,
    index: Annotated[int | None, bounded(NumberOfArcs, help="which arc to write to --arc-out, with --config")] = None,
    arc_out: Annotated[Path | None, Parameter(help="text file for that arc")] = None,
) -> None:
    """Draw random arcs; arc i uses seed + i. Without --config they are printed."""
    if config is None:
        if index is not None or out is not None or arc_out is not None:
            raise UserError("--index, --out and --arc-out need --config")
        for arc in draw_arcs(draw, draw.num_nodes, 1 if count is None else count):
            print(arc)
        return

    twice = [name for name in DrawOptions.model_fields if name in draw.model_fields_set]
    if twice:
        raise UserError(f"--{twice[0].replace('_', '-')}: --config says it already, give one of the two")
    match count, out, index, arc_out:
        case int(), Path(), None, None:
            write_arcs(load_stage_settings(config, RandomArcsSettings), count, out)
        case None, None, int(), Path():
            settings = load_stage_settings(config, RandomArcsSettings)
            arcs = draw_arcs(settings.random_arcs, settings.num_nodes, index + 1)
            write_text(arc_out, f"{arcs[index]}\n")
        case _:
            raise UserError("--config needs --count and --out, or --index and --arc-out")


def write_arcs(settings: RandomArcsSettings, count: int, out: Path) -> None:
    """Write the table of arcs 0..count-1."""
    from enas_core.files.tables import provenance, write_table

    arcs = draw_arcs(settings.random_arcs, settings.num_nodes, count)
    drawn = {"sampler": settings.random_arcs.sampler, "seed": settings.random_arcs.seed}
    rows = [{"network": network_name(i), "index": i, "arc": str(arc), **drawn} for i, arc in enumerate(arcs)]
    write_table(out, "random_arcs", rows, provenance("cpu", fingerprint(settings)))
    log.info("%d random arcs (%s, seed %d): %s", count, drawn["sampler"], drawn["seed"], out)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(random_arcs, arguments)


if __name__ == "__main__":
    sys.exit(main())
