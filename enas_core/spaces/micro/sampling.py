"""Arcs: the architectures of the ENAS micro search space, and two ways to draw them at random.

An arc is two cells, normal and reduction. Node i (0-based) of a cell adds two operations' outputs;
each operation reads cell input 0 or 1 (the two previous layers' outputs) or an earlier node (2..).
"""

from __future__ import annotations

import numpy as np

from enas_core.console import UserError
from enas_core.spaces.micro.arc import CELLS, OPS, Arc


def uniform_arc(seed: int, num_nodes: int = 5) -> Arc:
    """Every valid index and operation equally likely."""
    generator = np.random.Generator(np.random.PCG64(seed))
    integers = []
    for _ in CELLS:
        for i in range(num_nodes):
            for _ in range(2):
                integers += [int(generator.integers(i + 2)), int(generator.integers(len(OPS)))]
    return Arc.from_integers(integers)


def reference_arc(seed: int, num_nodes: int = 5) -> Arc:
    """The generator of Yang et al. 2020 (README of their ENAS code): all nodes read the same two inputs."""
    if num_nodes != 5:
        raise UserError(f"the reference sampler makes arcs of 5 nodes, not {num_nodes}")
    generator = np.random.RandomState(seed)
    ops = generator.randint(0, 5, 20)
    links = generator.choice([0, 1], size=20, replace=True)
    pairs = [*range(0, 8), 16, 17, *range(8, 16), 18, 19]
    integers = [value for k, op in enumerate(pairs) for value in (links[k % 2], ops[op])]
    return Arc.from_integers(integers)


SAMPLERS = {"uniform": uniform_arc, "reference": reference_arc}
