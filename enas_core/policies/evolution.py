"""Regularised evolution (Real et al. 2019, algorithm 1), over shared weights as in Guo et al. 2020."""

from __future__ import annotations

from collections import deque

import numpy as np

from enas_core.policies.neighbours import change, random_arc
from enas_core.policies.strategy import Proposals, Task
from enas_core.spaces.space import Arc


def evolution(task: Task) -> Proposals:
    """Random arcs first, then mutations of the best of a sample, while the oldest arc of the population dies.

    A mutation changes one decision. An arc that comes again joins the population with the accuracy that it has, which
    costs nothing. One that is not scored never lives."""
    settings = task.settings.evolution
    random = np.random.default_rng(task.draw("evolution"))
    living: deque[tuple[Arc, float]] = deque()
    while len(living) < settings.population:
        arc = random_arc(task.space, random)
        accuracy = yield arc
        if accuracy is not None:
            living.append((arc, accuracy))

    while True:
        sample = [living[i] for i in random.integers(len(living), size=settings.sample_size)]
        parent, _ = max(sample, key=lambda member: member[1])
        child = change(task.space, parent, random)
        accuracy = yield child
        if accuracy is not None:
            living.append((child, accuracy))
            living.popleft()
