"""Ways to draw an arc of the micro space at random."""

from __future__ import annotations

from enas_core.console import UserError
from enas_core.spaces.micro.arc import MicroArc, decisions
from enas_core.spaces.space import uniform_choices

REFERENCE_NODES = 5
"""Nodes of a cell in every arc that the generator of Yang et al. makes."""


def uniform_arc(seed: int, num_nodes: int = 5) -> MicroArc:
    """Every valid index and operation equally likely, as `SearchSpace.uniform` draws them."""
    return MicroArc.from_integers(uniform_choices(decisions(num_nodes), seed))


def reference_arc(seed: int, num_nodes: int = 5) -> MicroArc:
    """The generator of Yang et al. 2020 (README of their ENAS code): all nodes read the same two inputs."""
    import numpy as np  # which commands that draw nothing need not wait for

    if num_nodes != REFERENCE_NODES:
        raise UserError(f"the reference sampler makes arcs of {REFERENCE_NODES} nodes, not {num_nodes}")
    generator = np.random.RandomState(seed)
    ops = generator.randint(0, 5, 20)
    links = generator.choice([0, 1], size=20, replace=True)
    order = [*range(0, 8), 16, 17, *range(8, 16), 18, 19]  # of the operations in the arc
    integers: list[int] = []
    for position, op in enumerate(order):
        integers += [links[position % 2], ops[op]]
    return MicroArc.from_integers(integers)
