"""Scoring of arcs with the shared weights, and the choice among those that are scored.

Makes the rows of candidates.parquet and of signal.parquet; `selection.py` says which arcs are scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from enas_core.analysis import signal
from enas_core.analysis.front import on_front
from enas_core.console import progress
from enas_core.data.batches import equal_batches, plain_batches
from enas_core.data.fit import shape_for
from enas_core.data.prepared import Dataset
from enas_core.policies import policy_class
from enas_core.policies.policy import Policy
from enas_core.settings.stages import SelectArcStage, StrategiesStage
from enas_core.spaces.measure import child_size
from enas_core.spaces.networks import Supernet
from enas_core.spaces.saved import content_errors, load_supernet
from enas_core.spaces.space import Arc, SearchSpace
from enas_core.training.compilation import accelerate
from enas_core.training.evaluation import child_answers

Row = dict[str, Any]
"""A row of candidates.parquet, without `selected` and `on_front`."""

SelectionStage = SelectArcStage | StrategiesStage

CHOSEN = ("policy", "strategy")
"""Sources of those candidates that can be selected."""


class Scorer:
    """A supernet, ready to score arcs of its space on the validation images."""

    def __init__(self, settings: SelectionStage, data: Dataset, supernet: Supernet, device: torch.device) -> None:
        search = settings.search
        self.settings, self.data, self.supernet, self.device = settings, data, supernet, device
        self.valid = data.train.part(len(data.train) - search.valid_images, len(data.train))
        accelerate(supernet.to(device), settings, device)
        shape = shape_for(search, data.manifest)
        with torch.device("meta"):
            self.without_values = settings.search_space.supernet(shape)
        self.answers: dict[Arc, NDArray[np.bool_]] = {}
        """Of each arc that has been scored: whether it is right on each validation image, [N]."""

    def rows(self, source: str, arcs: Sequence[Arc], policy: str | None = None) -> list[Row]:
        """One row an arc; `source` says where they come from. Arcs that have been scored before are not again."""
        return [
            {
                "source": source,
                "policy": policy,
                "space": self.settings.space,
                "arc": str(arc),
                "valid_accuracy": self.known_accuracy(arc),
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
        return self.known_accuracy(arc)

    def known_accuracy(self, arc: Arc) -> float:
        """The same; an arc whose answers are there already is not scored again."""
        if arc not in self.answers:
            return self.valid_accuracy(arc)
        return int(self.answers[arc].sum()) / len(self.valid)


def check_signal(settings: SelectionStage, scorer: Scorer, arcs: Sequence[Arc], seed: int) -> Row:
    """The row of signal.parquet: what the order of scored arcs is worth."""
    correct = np.stack([scorer.answers[arc] for arc in arcs])
    labels = scorer.valid.labels.cpu().numpy()
    of_search = {"experiment": settings.experiment, "dataset": settings.dataset, "seed": seed}
    return of_search | signal.check(correct, labels)


def load_searched(settings: SelectionStage, data: Dataset, path: Path) -> tuple[Supernet, Policy]:
    """The shared weights and the policy that a search has left in `path`. Raises UserError when it is another's."""
    search, space = settings.search, settings.search_space
    supernet = space.supernet(shape_for(search, data.manifest))
    policy = policy_class(search.policy)(space, search, torch.Generator())
    state = load_supernet(path, supernet)
    with content_errors(path, "not of this policy"):
        policy.load_state_dict(state)
    return supernet, policy


def mark_selected(candidates: list[Row], space: SearchSpace) -> Row:
    """Mark the arc of highest accuracy among those that the policy or another strategy has proposed, and return it; of
    equals the first in the order of their choices. Random and named arcs are there for comparison only."""
    own = [row for row in candidates if row["source"] in CHOSEN]
    best = min(own, key=lambda row: (-row["valid_accuracy"], space.choices(space.parse(row["arc"]))))
    for row in candidates:
        row["selected"] = row is best
    return best


def mark_front(candidates: Sequence[Row]) -> None:
    """Mark the candidates than which no other is both as cheap and better, or cheaper and as good."""
    costs = [row["macs"] for row in candidates]
    for row, best in zip(candidates, on_front(costs, [row["valid_accuracy"] for row in candidates]), strict=True):
        row["on_front"] = best
