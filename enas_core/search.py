"""Command `search`: train the supernet's shared weights and the policy in turn (Pham et al. 2018, section 2.2).

Reads the settings of the stage and the prepared images; writes `epochs.parquet`, a row an epoch, and `supernet.pt`, the
shared weights with the policy's state. What is interrupted goes on from the state that it has saved.
"""

from __future__ import annotations

import sys
from typing import Annotated

from enas_core.files.inputs import Inputs
from enas_core.options import (
    DEFAULT_DEVICE,
    CommandLine,
    Device,
    Gpus,
    TogetherInOneClass,
    TrainingOptions,
    run_command,
)
from enas_core.settings.stages import SearchStage, read_stage


def search(
    *,
    training: Annotated[TrainingOptions, TogetherInOneClass],
    device: Device = DEFAULT_DEVICE,
    gpus: Gpus = 1,
    arguments: CommandLine,
) -> None:
    """Train the supernet and what proposes its arcs in turn; resumes what was interrupted.

    Example: enas search --config config/search.json --data data --seed 1 --out-dir search/s1 --state-dir state/s1
    """
    inputs = Inputs(training.config, training.data / "manifest.json")
    settings = read_stage(training.config, SearchStage)

    from enas_core.training.launch import on_devices

    with on_devices("search", arguments, device, gpus, settings.cpu_threads) as (own_device, processes):
        from enas_core.training.run import run_search

        run_search(settings, training.seed, training.run(inputs, own_device, processes))


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(search, arguments)


if __name__ == "__main__":
    sys.exit(main())
