"""Draw random arcs: printed one a line, or, as a stage, the table of them all or the text file of one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Annotated, get_args

from enas_core.console import UserError, log
from enas_core.files.atomic import write_text
from enas_core.files.tables import provenance, write_table
from enas_core.options import Parser, checked, run_stage
from enas_core.settings.experiment import Baseline, Experiment, RandomArcs
from enas_core.settings.stages import RandomArcsSettings, fingerprint, from_options, load_stage_settings
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro
from enas_core.spaces.space import Arc

LOOSE = ("sampler", "seed", "num_nodes")
"""Options that take the place of `--config`."""


Number = Annotated[int, Baseline.model_fields["num_arcs"]]
"""Of an arc, or how many of them."""


class LooseOptions(RandomArcs):
    """The options `LOOSE`, with the defaults and bounds of an experiment."""

    num_nodes: Annotated[int, Experiment.model_fields["num_nodes"]]


def network_name(index: int) -> str:
    """Name of the network that is trained with arc `index`."""
    return f"random-{index:02}"


def draw_arcs(settings: RandomArcs, num_nodes: int, count: int) -> list[Arc]:
    """Arcs 0..count-1."""
    return Micro(MicroSettings(num_nodes=num_nodes)).baseline(settings.sampler, settings.seed, count)


def run(settings: RandomArcsSettings, count: int, out: Path) -> None:
    """Write the table of arcs 0..count-1."""
    arcs = draw_arcs(settings.random_arcs, settings.num_nodes, count)
    chosen = {"sampler": settings.random_arcs.sampler, "seed": settings.random_arcs.seed}
    rows = [{"network": network_name(i), "index": i, "arc": str(arc), **chosen} for i, arc in enumerate(arcs)]
    write_table(out, "random_arcs", rows, provenance("cpu", fingerprint(settings)))
    log.info("%d random arcs (%s, seed %d): %s", count, chosen["sampler"], chosen["seed"], out)


def _run(options: argparse.Namespace) -> None:
    loose = {name: getattr(options, name) for name in LOOSE if getattr(options, name) is not None}
    stage = options.count, options.index, options.out, options.arc_out
    if options.config is None:
        if any(value is not None for value in stage[1:]):
            raise UserError("--index, --out and --arc-out need --config")
        settings = from_options(LooseOptions, loose)
        for arc in draw_arcs(settings, settings.num_nodes, 1 if options.count is None else options.count):
            print(arc)
        return
    if loose:
        raise UserError(f"--{next(iter(loose)).replace('_', '-')}: --config says it already, give one of the two")
    given = [value is not None for value in stage]
    if given not in ([True, False, True, False], [False, True, False, True]):
        raise UserError("--config needs --count and --out, or --index and --arc-out")
    stage_settings = load_stage_settings(options.config, RandomArcsSettings)
    if options.out is not None:
        run(stage_settings, options.count, options.out)
    else:
        *_, arc = draw_arcs(stage_settings.random_arcs, stage_settings.num_nodes, options.index + 1)
        write_text(options.arc_out, f"{arc}\n")


def main(arguments: list[str] | None = None) -> int:
    parser = Parser("random_arcs", "Draw random arcs; arc i uses seed + i. Without --config they are printed.")
    fields = LooseOptions.model_fields
    samplers = get_args(fields["sampler"].annotation)
    default = {name: f"(default: {fields[name].default})" for name in LOOSE}
    parser.add_argument("--sampler", choices=samplers, help=f"how arcs are drawn {default['sampler']}")
    parser.add_argument("--seed", type=int, help=f"seed of arc 0 {default['seed']}")
    parser.add_argument("--num-nodes", type=int, help=f"nodes of a cell {default['num_nodes']}")
    parser.add_argument("--count", type=checked(Number), help="number of arcs (default when printing: 1)")
    parser.add_argument("--config", type=Path, help="resolved settings (config/random_arcs.json) in place of these")
    parser.add_argument("--out", type=Path, help="table to write, with --config")
    parser.add_argument("--index", type=checked(Number), help="which arc to write to --arc-out, with --config")
    parser.add_argument("--arc-out", type=Path, help="text file for that arc")
    return run_stage(parser, _run, arguments)


if __name__ == "__main__":
    sys.exit(main())
