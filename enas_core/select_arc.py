"""Selection: score arcs with the shared weights on the validation images, and pick the controller's best."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from enas_core import cli, schedule
from enas_core.arc import Arc, read_arc, uniform_arc
from enas_core.cli import log
from enas_core.config import SelectArcSettings, fingerprint, load_stage_settings
from enas_core.controller import Controller
from enas_core.data import Split, equal_batches, plain_batch
from enas_core.engine import accelerate, build_supernet, child_accuracy, describe_device, load_for, placed
from enas_core.network import count_macs
from enas_core.supernet import Supernet, load_into
from enas_core.tables import provenance, read_table, write_table, write_text

MAX_ATTEMPTS = 100  # batches of samples without a new arc before the policy counts as exhausted


def policy_samples(settings: SelectArcSettings, controller: Controller, seed: int) -> Iterator[list[Arc]]:
    """Arcs of the search's policy, without end, in batches of `num_candidates`."""
    count = settings.select.num_candidates
    if settings.search.policy == "random":
        for first in itertools.count(0, count):
            seeds = (schedule.stream_seed(seed, "candidates", i) for i in range(first, first + count))
            yield [uniform_arc(s, settings.num_nodes) for s in seeds]
    generator = torch.Generator().manual_seed(schedule.stream_seed(seed, "candidates"))
    while True:
        with torch.no_grad():
            yield controller.sample(count, generator).arcs


def distinct(batches: Iterator[list[Arc]], count: int) -> list[Arc]:
    """Up to `count` distinct arcs in the order in which they are first sampled."""
    arcs: dict[Arc, None] = {}
    idle = 0
    while len(arcs) < count and idle < MAX_ATTEMPTS:
        before = len(arcs)
        arcs.update(dict.fromkeys(next(batches)))
        idle = 0 if len(arcs) > before else idle + 1
    if len(arcs) < count:
        log.info("the policy samples no more than %d distinct arcs (%d were asked for)", len(arcs), count)
    return list(arcs)[:count]


def valid_accuracy(supernet: Supernet, arc: Arc, valid: Split, batch_size: int) -> float:
    """Accuracy of a child over the validation images, in equal batches, with batch statistics, no dropout."""
    correct = torch.zeros((), device=valid.labels.device, dtype=torch.float64)
    for rows in equal_batches(len(valid), batch_size):
        images, labels = plain_batch(valid, rows)
        correct += child_accuracy(supernet, arc, images, labels) * len(labels)
    return round(float(correct)) / len(valid)


def select(candidates: list[dict[str, Any]]) -> None:
    """Mark the arc of highest accuracy as selected among the policy's own (source `controller`); of equals, the
    first in the order of their integers. Random and named arcs are there for comparison only."""
    own = [row for row in candidates if row["source"] == "controller"]
    best = min(own, key=lambda row: (-row["valid_accuracy"], Arc.parse(row["arc"])))
    for row in candidates:
        row["selected"] = row is best


def stage(options: argparse.Namespace) -> None:
    """The stage, from its options."""
    read = [options.config, options.data / "manifest.json", options.supernet, options.own, options.random_arcs]
    inputs = cli.Inputs(*filter(None, read), *options.named_arc)
    settings = load_stage_settings(options.config, SelectArcSettings)
    given = [("random", arc) for arc in _random_arcs(options.random_arcs, settings.num_nodes)]
    given += [("named", read_arc(path, settings.num_nodes)) for path in options.named_arc]
    with placed("select_arc", options, settings.cpu_threads) as (device, _):
        score(options, settings, given, inputs, device)


def score(
    options: argparse.Namespace,
    settings: SelectArcSettings,
    given: list[tuple[str, Arc]],
    inputs: cli.Inputs,
    device: torch.device,
) -> None:
    """Score `given` arcs (source and arc), and the policy's own unless they are scored already; write the table."""
    data = load_for(settings, settings.search, options.data, device)
    valid = data.train.part(len(data.train) - settings.search.valid_images, len(data.train))

    supernet = build_supernet(settings, data)
    controller = Controller(settings.search.controller, settings.num_nodes, torch.Generator())
    load_into(options.supernet, supernet, controller)
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
        for source, arc in cli.progress(given, "candidates", len(given))
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
        raise ValueError(f"{path}: {error}") from None


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = cli.Parser("select_arc", "Score arcs with the shared weights and select the controller's best.")
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
    return cli.run_stage(parser, stage, arguments)


if __name__ == "__main__":
    sys.exit(main())
