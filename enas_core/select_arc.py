"""Selection: score arcs with the shared weights on the validation images, and pick the controller's best."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from enas_core.console import UserError, log, progress
from enas_core.files.atomic import write_text
from enas_core.files.inputs import Inputs
from enas_core.files.tables import provenance, read_table, write_table
from enas_core.options import Parser, run_stage
from enas_core.policies.controller import Controller
from enas_core.settings.stages import SelectArcSettings, fingerprint, load_stage_settings
from enas_core.spaces.measure import count_macs
from enas_core.spaces.micro.arc import MicroArc as Arc
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro
from enas_core.spaces.saved import content_errors, load_supernet
from enas_core.training.compilation import accelerate
from enas_core.training.device import describe_device, placed
from enas_core.training.run import build_supernet, load_for
from enas_core.training.scoring import distinct, policy_samples, select, valid_accuracy


def stage(options: argparse.Namespace) -> None:
    """The stage, from its options."""
    read = [options.config, options.data / "manifest.json", options.supernet, options.own, options.random_arcs]
    inputs = Inputs(*filter(None, read), *options.named_arc)
    settings = load_stage_settings(options.config, SelectArcSettings)
    given = [("random", arc) for arc in _random_arcs(options.random_arcs, settings.num_nodes)]
    given += [("named", Micro(MicroSettings(num_nodes=settings.num_nodes)).read(path)) for path in options.named_arc]
    with placed("select_arc", options, settings.cpu_threads) as (device, _):
        score(options, settings, given, inputs, device)


def score(
    options: argparse.Namespace,
    settings: SelectArcSettings,
    given: list[tuple[str, Arc]],
    inputs: Inputs,
    device: torch.device,
) -> None:
    """Score `given` arcs (source and arc), and the policy's own unless they are scored already; write the table."""
    data = load_for(settings, settings.search, options.data, device)
    valid = data.train.part(len(data.train) - settings.search.valid_images, len(data.train))

    supernet = build_supernet(settings, data)
    controller = Controller(settings.search.controller, settings.num_nodes, torch.Generator())
    policy_state = load_supernet(options.supernet, supernet)
    with content_errors(options.supernet, "not of this supernet"):
        controller.load_state_dict(policy_state)
    accelerate(supernet.to(device), settings, device)
    with torch.device("meta"):
        shape_only = build_supernet(settings, data)

    own = [] if options.own is None else read_table(options.own, "candidates")
    if options.own is None:
        sampled = distinct(policy_samples(settings, controller, options.seed), settings.select.num_candidates)
        given = [("controller", arc) for arc in sampled] + given
    candidates = own + [
        {
            "source": source,
            "arc": str(arc),
            "valid_accuracy": valid_accuracy(supernet, arc, valid, settings.search.batch_size),
            "params": shape_only.path_parameters(arc),
            "macs": count_macs(shape_only, data.in_channels, data.image_size, arc),
        }
        for source, arc in progress(given, "candidates", len(given))
    ]
    select(candidates)
    best = next(row for row in candidates if row["selected"])
    made_by = provenance(describe_device(device), fingerprint(settings))
    inputs.require_unchanged()
    write_table(options.out_dir / "candidates.parquet", "candidates", candidates, made_by)
    if options.arc_out is not None:
        write_text(options.arc_out, best["arc"] + "\n")
    log.info("selected %s  shared validation accuracy %.4f", best["arc"], best["valid_accuracy"])


def _random_arcs(path: Path | None, num_nodes: int) -> list[Arc]:
    rows = [] if path is None else read_table(path, "random_arcs")
    try:
        return [Arc.parse(row["arc"] or "", num_nodes) for row in rows]
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = Parser("select_arc", "Score arcs with the shared weights and select the controller's best.")
    parser.add_settings("select_arc")
    parser.add_data()
    parser.add_argument("--supernet", type=Path, required=True, help="supernet.pt of the search")
    parser.add_seed("seed of the search, also of the sampled candidates")
    parser.add_argument("--own", type=Path, help="candidates.parquet with the policy's own, already scored")
    parser.add_argument("--random-arcs", type=Path, help="random_arcs.parquet, to be scored for the record")
    parser.add_argument("--named-arc", type=Path, nargs="*", default=[], help="arc files to be scored for the record")
    parser.add_argument("--out-dir", type=Path, required=True, help="where to write candidates.parquet")
    parser.add_argument("--arc-out", type=Path, help="file for the selected arc")
    parser.add_device()
    parser.add_gpus()
    return run_stage(parser, stage, arguments)


if __name__ == "__main__":
    sys.exit(main())
