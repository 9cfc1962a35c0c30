"""Command `select_arc`: score arcs with the shared weights on the validation images, pick the best.

Reads the settings of the stage, the prepared images and `supernet.pt` of the search; writes `candidates.parquet`, an
arc a row, a text file with the selected arc, and `signal.parquet`: what the order of the candidates is worth. The rule
`score_arcs` calls it once more, with those candidates already scored, to add random and named ones: those are scored
for the record and cannot be selected. The rule `try_strategy` calls it with another strategy than the settings' own.
What is interrupted goes on from the state that it has saved.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from enas_core.console import UserError, shown
from enas_core.fields import Seed
from enas_core.files.inputs import Inputs
from enas_core.files.lock import only_writer
from enas_core.files.tables import FOR_THE_RECORD, read_provenance, read_table
from enas_core.options import (
    DEFAULT_DATA_ON_DEVICE,
    DEFAULT_DEVICE,
    CommandLine,
    ConfigFile,
    DataFolder,
    DataOnDevice,
    Device,
    OneGpu,
    bounded,
    default,
    mirrored,
    run_command,
    several,
)
from enas_core.settings.select import StrategyName
from enas_core.settings.stages import SelectArcStage, StrategiesStage, fingerprint, read_stage
from enas_core.settings.workflow import Workflow
from enas_core.spaces.space import Arc, SearchSpace


def select_arc(
    *,
    config: ConfigFile,
    data: DataFolder,
    supernet: Annotated[Path, Parameter(help="supernet.pt of the search")],
    seed: Annotated[int, bounded(Seed, help="seed of the search, also of the sampled candidates")],
    strategy: Annotated[
        StrategyName | None,
        Parameter(help="propose arcs in this way, not as the settings say (config/strategies.json)"),
    ] = None,
    own: Annotated[Path | None, Parameter(help="candidates.parquet with those to choose from, already scored")] = None,
    random_arcs: Annotated[Path | None, Parameter(help="random_arcs.parquet, to be scored for the record")] = None,
    named_arc: Annotated[Sequence[Path], several(0, help="arc files to be scored for the record")] = (),
    out_dir: Annotated[Path, Parameter(help="where to write candidates.parquet")],
    arc_out: Annotated[Path | None, Parameter(help="file for the selected arc")] = None,
    signal_out: Annotated[
        Path | None, Parameter(help="file for the signal check of the candidates; not with --own")
    ] = None,
    state_dir: Annotated[Path | None, Parameter(help="where the state to resume from is kept (default: none)")] = None,
    save_every: Annotated[float, mirrored(Workflow, "save_every", metavar="MINUTES")] = default(Workflow, "save_every"),
    device: Device = DEFAULT_DEVICE,
    data_on_device: DataOnDevice = DEFAULT_DATA_ON_DEVICE,
    gpus: OneGpu = 1,
    arguments: CommandLine,
) -> None:
    """Score arcs with the shared weights and select the best; resumes what was interrupted.

    Example: enas select-arc --config config/select_arc.json --data data --seed 1 --supernet search/s1/supernet.pt
    --out-dir search/s1/own --arc-out arc.txt
    """
    if own is not None and (signal_out is not None or strategy is not None):
        raise UserError("--own: its candidates are chosen and checked already, without --strategy and --signal-out")
    read = [config, data / "manifest.json", supernet, own, random_arcs, *named_arc]
    inputs = Inputs(*[path for path in read if path is not None])
    settings: SelectArcStage | StrategiesStage
    if strategy is None:
        settings = read_stage(config, SelectArcStage)
        strategy = settings.select.strategy
    else:
        settings = read_stage(config, StrategiesStage)
    space = settings.search_space
    given = {
        "random": arcs_of_table(random_arcs, space),
        "named": [space.read(path) for path in named_arc],
    }
    own_rows = None if own is None else own_candidates(own, settings)

    from enas_core.training.launch import on_devices

    with (
        only_writer(out_dir / "candidates.parquet"),
        on_devices("select_arc", arguments, device, gpus, settings.cpu_threads) as (own_device, _),
    ):
        from enas_core.training.selection import Files, run_selection, score_for_the_record

        files = Files(out_dir, arc_out, signal_out, state_dir, save_every, inputs)
        if own_rows is None:
            run_selection(settings, strategy, data, supernet, seed, given, own_device, data_on_device, files)
        else:
            score_for_the_record(settings, data, supernet, own_rows, given, own_device, data_on_device, files)


def arcs_of_table(path: Path | None, space: SearchSpace) -> list[Arc]:
    """The arcs of random_arcs.parquet; none without a path. Raises UserError, naming the file, where one is not of
    `space`."""
    return [] if path is None else space.arcs_of(path, read_table(path, "random_arcs"))


def own_candidates(path: Path, settings: SelectArcStage | StrategiesStage) -> list[dict[str, Any]]:
    """The rows of --own. Raises UserError, naming the file, unless they are of the same settings as this selection,
    and so of the same experiment, images and space."""
    rows = read_table(path, "candidates")
    settings.search_space.arcs_of(path, rows)
    made_with = read_provenance(path).get("config_fingerprint", "unknown")
    if made_with != fingerprint(settings):
        raise UserError(f"{path}: was made with other settings than those of --config ({shown(made_with)})")
    if any(row["source"] in FOR_THE_RECORD for row in rows):
        raise UserError(f"{path}: holds random or named arcs, which cannot be chosen from")
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(select_arc, arguments)


if __name__ == "__main__":
    sys.exit(main())
