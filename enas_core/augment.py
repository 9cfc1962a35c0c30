"""Command `augment`: train one arc from scratch in the deeper, wider stand-alone network.

Reads the settings of the stage, the prepared images and a text file with the arc; writes `epochs.parquet`, a row an
epoch, and `model.pt`, the trained network. What is interrupted goes on from the state that it has saved.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.console import UserError
from enas_core.fields import Name, Seed
from enas_core.files.inputs import Inputs
from enas_core.options import (
    DEFAULT_DEVICE,
    CommandLine,
    Device,
    Gpus,
    TogetherInOneClass,
    TrainingOptions,
    bounded,
    run_command,
)
from enas_core.settings.networks import NamedNetwork, Role
from enas_core.settings.select import StrategyName
from enas_core.settings.stages import AugmentStage, read_stage


def augment(
    *,
    training: Annotated[TrainingOptions, TogetherInOneClass],
    arc_file: Annotated[Path, Parameter(help="text file with the arc in its text form")],
    network: Annotated[str, bounded(Name, help="name of the network in the tables")],
    role: Annotated[Role, Parameter(help="where the arc comes from, recorded for `compare`")] = "named",
    search_seed: Annotated[
        int | None, bounded(Seed, help="seed of the search that found the arc (--role searched or strategy)")
    ] = None,
    strategy: Annotated[
        StrategyName | None, Parameter(help="what has chosen the arc after that search (--role strategy)")
    ] = None,
    device: Device = DEFAULT_DEVICE,
    gpus: Gpus = 1,
    arguments: CommandLine,
) -> None:
    """Train one arc from scratch; resumes what was interrupted.

    Example: enas augment --config config/augment.json --data data --seed 1 --arc-file arc.txt --network mine
    --out-dir mine --state-dir state/mine
    """
    if (role in ("searched", "strategy")) != (search_seed is not None):
        raise UserError("--search-seed belongs to --role searched and --role strategy, and to no other role")
    if (role == "strategy") != (strategy is not None):
        raise UserError("--strategy belongs to --role strategy, and to no other role")
    inputs = Inputs(training.config, training.data / "manifest.json", arc_file)
    settings = read_stage(training.config, AugmentStage)
    arc = settings.search_space.read(arc_file)

    from enas_core.training.launch import on_devices

    with on_devices("augment", arguments, device, gpus, settings.cpu_threads) as (own_device, processes):
        from enas_core.training.run import run_augment

        named = NamedNetwork(network, role, search_seed, strategy)
        run_augment(settings, arc, named, training.seed, training.run(inputs, own_device, processes))


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(augment, arguments)


if __name__ == "__main__":
    sys.exit(main())
