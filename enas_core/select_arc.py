"""Command `select_arc`: score arcs with the shared weights on the validation images, pick the best of the policy's own.

Reads the settings of the stage, the prepared images and `supernet.pt` of the search; writes `candidates.parquet`, an
arc a row, a text file with the selected arc, and `signal.parquet`: what the order of the candidates is worth. The rule
`score_arcs` calls it once more, with the policy's own arcs already scored, to add random and named ones: those are
scored for the record and cannot be selected.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.console import UserError, log
from enas_core.fields import Seed
from enas_core.files.atomic import write_text
from enas_core.files.inputs import Inputs
from enas_core.files.lock import only_writer
from enas_core.files.tables import provenance, read_table, write_table
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
    run_command,
    several,
)
from enas_core.settings.stages import SelectArcStage, fingerprint, plain, read_stage
from enas_core.spaces.space import Arc, SearchSpace


def select_arc(
    *,
    config: ConfigFile,
    data: DataFolder,
    supernet: Annotated[Path, Parameter(help="supernet.pt of the search")],
    seed: Annotated[int, bounded(Seed, help="seed of the search, also of the sampled candidates")],
    own: Annotated[Path | None, Parameter(help="candidates.parquet with the policy's own, already scored")] = None,
    random_arcs: Annotated[Path | None, Parameter(help="random_arcs.parquet, to be scored for the record")] = None,
    named_arc: Annotated[Sequence[Path], several(0, help="arc files to be scored for the record")] = (),
    out_dir: Annotated[Path, Parameter(help="where to write candidates.parquet")],
    arc_out: Annotated[Path | None, Parameter(help="file for the selected arc")] = None,
    signal_out: Annotated[
        Path | None, Parameter(help="file for the signal check of the policy's own candidates; not with --own")
    ] = None,
    device: Device = DEFAULT_DEVICE,
    data_on_device: DataOnDevice = DEFAULT_DATA_ON_DEVICE,
    gpus: OneGpu = 1,
    arguments: CommandLine,
) -> None:
    """Score arcs with the shared weights and select the best of the policy's own.

    Example: enas select-arc --config config/select_arc.json --data data --seed 1 --supernet search/s1/supernet.pt
    --out-dir search/s1/own --arc-out arc.txt
    """
    if own is not None and signal_out is not None:
        raise UserError("--signal-out: the candidates of --own are not scored again; one of the two")
    read = [config, data / "manifest.json", supernet, own, random_arcs, *named_arc]
    inputs = Inputs(*[path for path in read if path is not None])
    settings = read_stage(config, SelectArcStage)
    space = settings.search_space
    given = {
        "random": arcs_of_table(random_arcs, space),
        "named": [space.read(path) for path in named_arc],
    }
    own_rows = [] if own is None else read_table(own, "candidates")

    from enas_core.training.launch import on_devices

    with only_writer(out_dir / "candidates.parquet"):
        with on_devices("select_arc", arguments, device, gpus, settings.cpu_threads) as (own_device, _):
            from enas_core.training.device import describe_device
            from enas_core.training.scoring import mark_selected, score

            candidates, checked = score(settings, data, supernet, seed, own_rows, given, own_device, data_on_device)
            made_by = provenance(describe_device(own_device), fingerprint(settings), plain(settings))
        best = mark_selected(candidates, space)
        inputs.require_unchanged()
        write_table(out_dir / "candidates.parquet", "candidates", candidates, made_by)
        if arc_out is not None:
            write_text(arc_out, best["arc"] + "\n")
        log.info("selected %s  shared validation accuracy %.4f", best["arc"], best["valid_accuracy"])
        if checked is not None:
            from enas_core.analysis.signal import sentence

            if signal_out is not None:
                write_table(signal_out, "signal", [checked], made_by)
            log.info("search seed %d: %s", seed, sentence(checked["verdict"], checked))


def arcs_of_table(path: Path | None, space: SearchSpace) -> list[Arc]:
    """The arcs of random_arcs.parquet; none without a path. Raises UserError, naming the file, where one is not of
    `space`."""
    rows = [] if path is None else read_table(path, "random_arcs")
    try:
        return [space.parse(row["arc"] or "") for row in rows]
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(select_arc, arguments)


if __name__ == "__main__":
    sys.exit(main())
