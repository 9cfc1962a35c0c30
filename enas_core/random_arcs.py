"""Command `random_arcs`: draw random arcs and print them, one a line.

As a stage, with `--config`, it writes the table of the first `--count` arcs, `random_arcs.parquet`; the rule
`random_arc` calls it for the text file of one of them.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from enas_core.console import UserError, log
from enas_core.data.fit import limits_for
from enas_core.data.manifest import read_manifest
from enas_core.files.atomic import write_text
from enas_core.options import TogetherInOneClass, bounded, run_command, several
from enas_core.settings.baseline import Baseline, RandomArcs
from enas_core.settings.experiment import DEFAULT_SPACE, extended
from enas_core.settings.networks import random_network
from enas_core.settings.stages import RandomArcsStage, fingerprint, plain, read_stage
from enas_core.spaces import space_class
from enas_core.spaces.limits import ArcLimits
from enas_core.spaces.space import Arc, SearchSpace

NumberOfArcs = Annotated[int, Baseline.model_fields["num_arcs"]]


class LooseRandomArcs(RandomArcs, strict=False):
    """How arcs are drawn without `--config`; not strict, since the command line gives text."""


SPACE = space_class(DEFAULT_SPACE)
if TYPE_CHECKING:
    DrawOptions = LooseRandomArcs
else:
    DrawOptions = extended(LooseRandomArcs, SPACE.Settings, section="")
"""With the space's own options."""
DEFAULTS = DrawOptions()


def random_arcs(
    *,
    draw: Annotated[DrawOptions, TogetherInOneClass] = DEFAULTS,
    count: Annotated[int | None, bounded(NumberOfArcs, help="number of arcs (default when printing: 1)")] = None,
    config: Annotated[
        Path | None, Parameter(help="resolved settings (config/random_arcs.json) in place of these options")
    ] = None,
    manifest: Annotated[
        Sequence[Path], several(0, help="manifest.json of the images, with --config, where the settings limit the size")
    ] = (),
    out: Annotated[Path | None, Parameter(help="table to write, with --config")] = None,
    index: Annotated[int | None, bounded(NumberOfArcs, help="which arc to write to --arc-out, with --config")] = None,
    arc_out: Annotated[Path | None, Parameter(help="text file for that arc")] = None,
) -> None:
    """Draw random arcs; arc i uses seed + i. Without --config they are printed.

    With --config, arcs that are above the settings' limits are left out, and the numbers go on with the next ones.

    Example: enas random-arcs --sampler reference --seed 0 --count 3
    """
    if config is None:
        if index is not None or out is not None or arc_out is not None:
            raise UserError("--index, --out and --arc-out need --config")
        own = {name: getattr(draw, name) for name in SPACE.Settings.model_fields if name in DrawOptions.model_fields}
        space = SPACE(SPACE.Settings(**own))
        for arc in drawn(space, draw, 1 if count is None else count):
            print(arc)
        return

    twice = [name for name in DrawOptions.model_fields if name in draw.model_fields_set]
    if twice:
        raise UserError(f"--{twice[0].replace('_', '-')}: --config says it already, give one of the two")
    match count, out, index, arc_out:
        case int(), Path(), None, None:
            settings = read_stage(config, RandomArcsStage)
            write_arcs(settings, drawn_within(settings, count, manifest), out)
        case None, None, int(), Path():
            settings = read_stage(config, RandomArcsStage)
            if settings.size_limit is None:
                how = settings.random_arcs
                (arc,) = settings.search_space.baseline(how.sampler, how.seed + index, 1)
            else:
                arc = drawn_within(settings, index + 1, manifest)[index]
            write_text(arc_out, f"{arc}\n")
        case _:
            raise UserError("--config needs --count and --out, or --index and --arc-out")


def drawn(space: SearchSpace, settings: RandomArcs, count: int, limits: ArcLimits | None = None) -> list[Arc]:
    """Arcs 0..count-1 of a baseline: with `limits`, the first so many of an endless baseline that keep to them, so that
    more arcs leave the first ones as they are. Raises UserError, one line, where next to none do."""
    if limits is None:
        return space.baseline(settings.sampler, settings.seed, count)
    draw = space.samplers[settings.sampler]
    return limits.first(count, (draw(settings.seed + i) for i in itertools.count()))


def drawn_within(settings: RandomArcsStage, count: int, manifest: Sequence[Path]) -> list[Arc]:
    """Arcs 0..count-1 of a stage, within its limits. Raises UserError where these need a manifest that is not given."""
    limits = None
    if settings.size_limit is not None:
        if not manifest:
            raise UserError("--manifest is needed: the settings limit the size of the networks")
        limits = limits_for(settings, read_manifest(manifest[0]))
    return drawn(settings.search_space, settings.random_arcs, count, limits)


def write_arcs(settings: RandomArcsStage, arcs: Sequence[Arc], out: Path) -> None:
    """Write the table of random arcs."""
    from enas_core.files.tables import provenance, write_table

    how = {"space": settings.space, "sampler": settings.random_arcs.sampler, "seed": settings.random_arcs.seed}
    rows = [{"network": random_network(i).name, "index": i, "arc": str(arc), **how} for i, arc in enumerate(arcs)]
    write_table(out, "random_arcs", rows, provenance("cpu", fingerprint(settings), plain(settings)))
    log.info("%d random arcs (%s, seed %d): %s", len(rows), how["sampler"], how["seed"], out)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(random_arcs, arguments)


if __name__ == "__main__":
    sys.exit(main())
