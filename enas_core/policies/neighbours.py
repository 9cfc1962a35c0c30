"""What strategies do with a single arc, through the interface of its space: draw one, or change one decision."""

from __future__ import annotations

import numpy as np

from enas_core.spaces.space import Arc, SearchSpace


def random_arc(space: SearchSpace, random: np.random.Generator) -> Arc:
    """Every choice equally likely."""
    return space.uniform(int(random.integers(2**63)))


def neighbours(space: SearchSpace, arc: Arc) -> list[Arc]:
    """All arcs that differ from `arc` in one decision."""
    return [
        _with(space, arc, position, choice)
        for position, decision in enumerate(space.decisions)
        for choice in range(decision.choices)
        if choice != space.choices(arc)[position]
    ]


def change(space: SearchSpace, arc: Arc, random: np.random.Generator) -> Arc:
    """`arc` with another choice in one decision: each decision that leaves a choice is equally likely, and then each of
    its other choices. An arc of a space without any is returned as it is."""
    open_ones = [position for position, decision in enumerate(space.decisions) if decision.choices > 1]
    if not open_ones:
        return arc
    position = open_ones[random.integers(len(open_ones))]
    choice = int(random.integers(space.decisions[position].choices - 1))
    return _with(space, arc, position, choice + (choice >= space.choices(arc)[position]))


def _with(space: SearchSpace, arc: Arc, position: int, choice: int) -> Arc:
    choices = list(space.choices(arc))
    choices[position] = choice
    return space.from_choices(choices)
