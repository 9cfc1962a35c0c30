"""Arcs of the micro space: two cells, normal and reduction.

Node i (0-based) of a cell adds two operations' outputs; each operation reads cell input 0 or 1 (the two previous
layers' outputs) or an earlier node (2..).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from enas_core.console import UserError
from enas_core.spaces.space import Arc, Decision

OPS = ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "identity")
"""Names of the operations, in the order of their numbers."""

CELLS = ("normal", "reduction")

MOST_NODES = 16
"""Nodes of the largest cell."""


class Node(NamedTuple):
    """`op_1(index_1) + op_2(index_2)`."""

    index_1: int
    op_1: int
    index_2: int
    op_2: int

    @property
    def edges(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """What is added: (index, operation), twice."""
        return (self.index_1, self.op_1), (self.index_2, self.op_2)


CellNodes = tuple[Node, ...]


@functools.cache
def decisions(num_nodes: int) -> tuple[Decision, ...]:
    """The decisions that make an arc, in the order of its integers."""
    found = []
    for cell in CELLS:
        for i in range(num_nodes):
            for field in Node._fields:
                choices = i + 2 if field.startswith("index") else len(OPS)
                found.append(Decision(f"{cell} cell, node {i}, {field}", choices))
    return tuple(found)


@dataclass(frozen=True, order=True)
class MicroArc(Arc):
    """Both cells of an architecture. Raises ValueError, naming the position, when it is not valid."""

    normal: CellNodes
    reduction: CellNodes

    def __post_init__(self) -> None:
        if len(self.normal) != len(self.reduction) or not self.normal:
            raise ValueError(
                f"an arc's cells have the same number of nodes, got {len(self.normal)} and {len(self.reduction)}"
            )
        for decision, value in zip(decisions(self.num_nodes), self.integers(), strict=True):
            if not 0 <= value < decision.choices:
                raise ValueError(f"{decision.name}: {value} is out of range 0..{decision.choices - 1}")

    @property
    def cells(self) -> tuple[CellNodes, CellNodes]:
        """The normal and the reduction cell."""
        return self.normal, self.reduction

    @property
    def num_nodes(self) -> int:
        """Nodes of a cell."""
        return len(self.normal)

    @classmethod
    def from_integers(cls, values: Iterable[int]) -> MicroArc:
        """From `normal cell + reduction cell`, each node `index_1 op_1 index_2 op_2`."""
        integers = [int(value) for value in values]
        if not integers or len(integers) % 8:
            raise ValueError(f"an arc has 8 integers a node (40 for 5 nodes), got {len(integers)}")
        nodes = tuple(Node(*integers[i : i + 4]) for i in range(0, len(integers), 4))
        half = len(nodes) // 2
        return cls(nodes[:half], nodes[half:])

    @classmethod
    def parse(cls, text: str, num_nodes: int | None = None) -> MicroArc:
        """From the integer form, the one that the original takes as `--child_fixed_arc`. Raises UserError, naming the
        position, when it is not one."""
        words = text.split()
        if num_nodes is not None and len(words) != 8 * num_nodes:
            raise UserError(f"an arc of {num_nodes} nodes has {8 * num_nodes} integers, got {len(words)}")
        if len(words) > 8 * MOST_NODES:
            raise UserError(f"an arc has {8 * MOST_NODES} integers at most ({MOST_NODES} nodes), got {len(words)}")
        integers = []
        for position, word in enumerate(words):
            if not word.isascii() or not word.isdigit():
                raise UserError(f"integer {position} of the arc: {word[:20]!r} is not an integer 0, 1, 2, ...")
            integers.append(int(word.lstrip("0")[:9] or "0"))  # nine digits are out of range already
        try:
            return cls.from_integers(integers)
        except ValueError as error:
            raise UserError(str(error)) from None

    def integers(self) -> Iterator[int]:
        """The integer form."""
        return (value for cell in self.cells for node in cell for value in node)

    def __str__(self) -> str:
        return " ".join(str(value) for value in self.integers())

    def to_json(self) -> str:
        """Nodes by cell, operations by name, and the ids that form each cell's output."""
        cells = {}
        for name, cell in zip(CELLS, self.cells, strict=True):
            nodes = [[[index, OPS[op]] for index, op in node.edges] for node in cell]
            cells[name] = {"nodes": nodes, "output": loose_ids(cell)}
        return json.dumps({"arc": str(self), **cells})

    def genotype(self) -> str:
        """DARTS-style text. Unlike in DARTS, a concatenation may include the cell inputs 0 and 1."""
        parts = []
        for name, cell in zip(("normal", "reduce"), self.cells, strict=True):
            edges = [(OPS[op], index) for node in cell for index, op in node.edges]
            parts.append(f"{name}={edges}, {name}_concat={loose_ids(cell)}")
        return f"Genotype({', '.join(parts)})"


def loose_ids(cell: CellNodes) -> list[int]:
    """Ids (0, 1 = cell inputs, 2.. = nodes) that no node reads, increasing: they form the output."""
    used = {index for node in cell for index, _ in node.edges}
    return [i for i in range(len(cell) + 2) if i not in used]
