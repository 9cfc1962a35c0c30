"""Search: train the supernet's shared weights and the controller in turn (Pham et al. 2018, section 2.2)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from enas_core.files.inputs import Inputs
from enas_core.options import MOST_GPUS, Parser, run_stage
from enas_core.settings.stages import SearchSettings, load_stage_settings
from enas_core.training.launch import on_devices
from enas_core.training.supernet import run_search


def stage(options: argparse.Namespace) -> None:
    """The stage, from its options."""
    inputs = Inputs(options.config, options.data / "manifest.json")
    settings = load_stage_settings(options.config, SearchSettings)
    where = (options.arguments, options.device, options.gpus, settings.cpu_threads)
    with on_devices("search", *where) as (device, processes):
        run_search(options, settings, inputs, device, processes)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = Parser("search", "Train the supernet and the controller in turn; resumes what was interrupted.")
    parser.add_settings("search")
    parser.add_data()
    parser.add_seed("seed of everything random in the search")
    parser.add_argument("--out-dir", type=Path, required=True, help="where to write epochs.parquet and supernet.pt")
    parser.add_state()
    parser.add_tensorboard()
    parser.add_device()
    parser.add_gpus(most=MOST_GPUS)
    return run_stage(parser, stage, arguments)


if __name__ == "__main__":
    sys.exit(main())
