"""Local search (White et al. 2020, algorithm 1): from a random arc to its best neighbour, as long as that is better."""

from __future__ import annotations

import numpy as np

from enas_core.policies.neighbours import neighbours, random_arc
from enas_core.policies.strategy import Proposals, Task


def local_search(task: Task) -> Proposals:
    """Neighbours, which differ in one decision, are all scored before the best of them is taken, in random order, since
    a selection may end among them. Where none is better, it starts again from another random arc."""
    random = np.random.default_rng(task.draw("local search"))
    while True:
        arc = random_arc(task.space, random)
        best = yield arc
        while best is not None:
            scored = []
            around = neighbours(task.space, arc)
            for i in random.permutation(len(around)):
                accuracy = yield around[i]
                if accuracy is not None:
                    scored.append((around[i], accuracy))
            top, accuracy = max(scored, key=lambda member: member[1], default=(arc, best))
            if accuracy <= best:
                break
            arc, best = top, accuracy
