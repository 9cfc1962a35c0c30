"""Scoring of arcs with the shared weights, and the choice among them: what `python -m enas_core.select_arc` does.

Reads the stage's settings, the prepared images and a trained supernet; makes the rows of candidates.parquet, and of
signal.parquet when it scores the policy's own candidates.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from enas_core.analysis import signal
from enas_core.console import log, progress
from enas_core.data.batches import equal_batches, plain_batches
from enas_core.data.fit import shape_for
from enas_core.data.prepared import Dataset
from enas_core.policies import policy_class
from enas_core.policies.policy import Policy
from enas_core.settings.stages import SelectArcStage
from enas_core.spaces.measure import child_size
from enas_core.spaces.networks import Supernet
from enas_core.spaces.saved import content_errors, load_supernet
from enas_core.spaces.space import Arc, SearchSpace
from enas_core.training.compilation import accelerate
from enas_core.training.evaluation import child_answers
from enas_core.training.images import load_images
from enas_core.training.randomness import draw_for

MAX_IDLE = 100
"""Proposals without a new arc, after which the policy counts as exhausted."""

Row = dict[str, Any]
"""A row of candidates.parquet, without `selected`."""


def score(
    settings: SelectArcStage,
    data_folder: Path,
    supernet_file: Path,
    seed: int,
    own: Sequence[Row],
    given: Mapping[str, Sequence[Arc]],
    device: torch.device,
    data_on_device: str = "auto",
) -> tuple[list[Row], Row | None]:
    """Rows of the policy's own candidates (`own`, if they have been scored before) and of the `given` arcs by source;
    and the signal check of the own ones, unless they have been scored before."""
    data = load_images(settings, data_folder, device, data_on_device)
    supernet, policy = load_searched(settings, data, supernet_file)
    scorer = Scorer(settings, data, supernet, device)
    rows, checked = list(own), None
    if not own:
        started = time.perf_counter()
        proposed = distinct_proposals(policy, settings.select.num_candidates, seed)
        rows = scorer.rows("policy", proposed, settings.search.policy)
        checked = check_signal(settings, scorer, proposed, seed) | {"seconds": time.perf_counter() - started}
    for source, arcs in given.items():
        rows += scorer.rows(source, arcs)
    return rows, checked


class Scorer:
    """A supernet, ready to score arcs of its space on the validation images."""

    def __init__(self, settings: SelectArcStage, data: Dataset, supernet: Supernet, device: torch.device) -> None:
        search = settings.search
        self.settings, self.data, self.supernet = settings, data, supernet
        self.valid = data.train.part(len(data.train) - search.valid_images, len(data.train))
        accelerate(supernet.to(device), settings, device)
        shape = shape_for(search, data.manifest)
        with torch.device("meta"):
            self.without_values = settings.search_space.supernet(shape)
        self.answers: dict[Arc, NDArray[np.bool_]] = {}
        """Of each arc that has been scored: whether it is right on each validation image, [N]."""

    def rows(self, source: str, arcs: Sequence[Arc], policy: str | None = None) -> list[Row]:
        """One row an arc; `source` says where they come from."""
        return [
            {
                "source": source,
                "policy": policy,
                "space": self.settings.space,
                "arc": str(arc),
                "valid_accuracy": self.valid_accuracy(arc),
                **self.size(arc),
            }
            for arc in progress(arcs, f"{source} candidates", len(arcs))
        ]

    def size(self, arc: Arc) -> Row:
        """Of the path that an arc takes through the supernet."""
        size = child_size(self.without_values, arc)
        return {"params": size.params, "macs": size.macs}

    def valid_accuracy(self, arc: Arc) -> float:
        """Accuracy of a child over the validation images, in equal batches, with batch statistics, no dropout. Its
        answers are kept."""
        right = []
        batches = equal_batches(len(self.valid), self.settings.search.batch_size)
        for images, labels in plain_batches(self.valid, batches):
            right.append(child_answers(self.supernet, arc, images, labels))
        self.answers[arc] = torch.cat(right).cpu().numpy()
        return int(self.answers[arc].sum()) / len(self.valid)


def check_signal(settings: SelectArcStage, scorer: Scorer, arcs: Sequence[Arc], seed: int) -> Row:
    """The row of signal.parquet: what the order of scored arcs is worth."""
    correct = np.stack([scorer.answers[arc] for arc in arcs])
    labels = scorer.valid.labels.cpu().numpy()
    of_search = {"experiment": settings.experiment, "dataset": settings.dataset, "seed": seed}
    return of_search | signal.check(correct, labels)


def load_searched(settings: SelectArcStage, data: Dataset, path: Path) -> tuple[Supernet, Policy]:
    """The shared weights and the policy that a search has left in `path`. Raises UserError when it is another's."""
    search, space = settings.search, settings.search_space
    supernet = space.supernet(shape_for(search, data.manifest))
    policy = policy_class(search.policy)(space, search, torch.Generator())
    state = load_supernet(path, supernet)
    with content_errors(path, "not of this policy"):
        policy.load_state_dict(state)
    return supernet, policy


def distinct_proposals(policy: Policy, count: int, seed: int) -> list[Arc]:
    """Up to `count` distinct arcs of a policy, in the order in which they are first proposed."""
    arcs: dict[Arc, None] = {}
    batch = idle = 0
    while len(arcs) < count and idle < MAX_IDLE:
        draw = draw_for(seed, "candidates") if batch == 0 else draw_for(seed, "more candidates", batch)
        before = len(arcs)
        arcs.update(dict.fromkeys(policy.propose(count, draw)))
        batch += 1
        idle = 0 if len(arcs) > before else idle + 1
    if len(arcs) < count:
        log.info("the policy proposes no more than %d distinct arcs (%d were asked for)", len(arcs), count)
    return list(arcs)[:count]


def mark_selected(candidates: list[Row], space: SearchSpace) -> Row:
    """Mark the arc of highest accuracy among the policy's own, and return it; of equals the first in the order of
    their choices. Random and named arcs are there for comparison only."""
    own = [row for row in candidates if row["source"] == "policy"]
    best = min(own, key=lambda row: (-row["valid_accuracy"], space.choices(space.parse(row["arc"]))))
    for row in candidates:
        row["selected"] = row is best
    return best
