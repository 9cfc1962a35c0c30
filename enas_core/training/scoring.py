"""Selection: score arcs with the shared weights on the validation images, and pick the controller's best."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch

from enas_core.console import log
from enas_core.data.batches import equal_batches, plain_batch
from enas_core.data.prepared import Split
from enas_core.policies.controller import Controller
from enas_core.settings.stages import SelectArcSettings
from enas_core.spaces.micro.arc import MicroArc as Arc
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.networks import Supernet
from enas_core.training.evaluation import child_accuracy
from enas_core.training.randomness import stream_seed

MAX_ATTEMPTS = 100  # batches of samples without a new arc before the policy counts as exhausted


def policy_samples(settings: SelectArcSettings, controller: Controller, seed: int) -> Iterator[list[Arc]]:
    """Arcs of the search's policy, without end, in batches of `num_candidates`."""
    count = settings.select.num_candidates
    if settings.search.policy == "random":
        for first in itertools.count(0, count):
            seeds = (stream_seed(seed, "candidates", i) for i in range(first, first + count))
            yield [uniform_arc(s, settings.num_nodes) for s in seeds]
    generator = torch.Generator().manual_seed(stream_seed(seed, "candidates"))
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
