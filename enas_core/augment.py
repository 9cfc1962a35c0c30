"""Augment: train one arc from scratch in the deeper, wider stand-alone network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from enas_core.fields import Name
from enas_core.files.inputs import Inputs
from enas_core.options import MOST_GPUS, Parser, checked, run_stage
from enas_core.settings.stages import AugmentSettings, load_stage_settings
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro
from enas_core.training.device import placed
from enas_core.training.network import run_augment


def stage(options: argparse.Namespace) -> None:
    """The stage, from its options."""
    inputs = Inputs(options.config, options.data / "manifest.json", options.arc_file)
    settings = load_stage_settings(options.config, AugmentSettings)
    arc = Micro(MicroSettings(num_nodes=settings.num_nodes)).read(options.arc_file)
    with placed("augment", options, settings.cpu_threads) as (device, processes):
        run_augment(options, settings, arc, inputs, device, processes)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = Parser("augment", "Train one arc from scratch; resumes what was interrupted.")
    parser.add_settings("augment")
    parser.add_data()
    parser.add_argument("--arc-file", type=Path, required=True, help="text file with the arc in its integer form")
    parser.add_argument("--network", type=checked(Name), required=True, help="name of the network in the tables")
    parser.add_seed("seed of everything random in the training")
    parser.add_argument("--out-dir", type=Path, required=True, help="where to write epochs.parquet and model.pt")
    parser.add_state()
    parser.add_tensorboard()
    parser.add_device()
    parser.add_gpus(most=MOST_GPUS)
    return run_stage(parser, stage, arguments)


if __name__ == "__main__":
    sys.exit(main())
