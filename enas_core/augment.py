"""Augment: train one arc from scratch in the deeper, wider stand-alone network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from enas_core.console import UserError
from enas_core.fields import Name, Seed
from enas_core.files.inputs import Inputs
from enas_core.options import MOST_GPUS, Parser, checked, run_stage
from enas_core.settings.networks import ROLES
from enas_core.settings.stages import AugmentSettings, load_stage_settings
from enas_core.spaces.micro.arc import read_arc
from enas_core.training.device import placed
from enas_core.training.network import run_augment


def stage(options: argparse.Namespace) -> None:
    """The stage, from its options."""
    if (options.role == "searched") != (options.search_seed is not None):
        raise UserError("--search-seed belongs to --role searched, and to no other role")
    inputs = Inputs(options.config, options.data / "manifest.json", options.arc_file)
    settings = load_stage_settings(options.config, AugmentSettings)
    arc = read_arc(options.arc_file, settings.num_nodes)
    with placed("augment", options, settings.cpu_threads) as (device, processes):
        run_augment(options, settings, arc, inputs, device, processes)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = Parser("augment", "Train one arc from scratch; resumes what was interrupted.")
    parser.add_settings("augment")
    parser.add_data()
    parser.add_argument("--arc-file", type=Path, required=True, help="text file with the arc in its integer form")
    parser.add_argument("--network", type=checked(Name), required=True, help="name of the network in the tables")
    parser.add_argument(
        "--role",
        choices=ROLES,
        default="named",
        help="where the arc comes from, recorded for `compare` (default: %(default)s)",
    )
    parser.add_argument("--search-seed", type=checked(Seed), help="seed of the search that found it (--role searched)")
    parser.add_seed("seed of everything random in the training")
    parser.add_argument("--out-dir", type=Path, required=True, help="where to write epochs.parquet and model.pt")
    parser.add_state()
    parser.add_tensorboard()
    parser.add_device()
    parser.add_gpus(most=MOST_GPUS)
    return run_stage(parser, stage, arguments)


if __name__ == "__main__":
    sys.exit(main())
