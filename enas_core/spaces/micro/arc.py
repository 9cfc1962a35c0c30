"""Arcs: the architectures of the ENAS micro search space, and two ways to draw them at random.

An arc is two cells, normal and reduction. Node i (0-based) of a cell adds two operations' outputs;
each operation reads cell input 0 or 1 (the two previous layers' outputs) or an earlier node (2..).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from enas_core.console import UserError

OPS = ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "identity")
"""Names of the operations, in the order of their numbers."""


CELLS = ("normal", "reduction")


class Node(NamedTuple):
    """`op_1(index_1) + op_2(index_2)`."""

    index_1: int
    op_1: int
    index_2: int
    op_2: int


CellNodes = tuple[Node, ...]


@dataclass(frozen=True, order=True)
class Arc:
    """Both cells of an architecture. Raises UserError, naming the position, when it is not valid."""

    normal: CellNodes
    reduction: CellNodes

    def __post_init__(self) -> None:
        if len(self.normal) != len(self.reduction) or not self.normal:
            raise UserError(
                f"an arc's cells have the same number of nodes, got {len(self.normal)} and {len(self.reduction)}"
            )
        for name, cell in zip(CELLS, self.cells, strict=True):
            for i, node in enumerate(cell):
                for field, value in zip(Node._fields, node, strict=True):
                    last = i + 1 if field.startswith("index") else len(OPS) - 1
                    if not 0 <= value <= last:
                        raise UserError(f"{name} cell, node {i}, {field}: {value} is out of range 0..{last}")

    @property
    def cells(self) -> tuple[CellNodes, CellNodes]:
        """The normal and the reduction cell."""
        return self.normal, self.reduction

    @property
    def num_nodes(self) -> int:
        """Nodes of a cell."""
        return len(self.normal)

    @classmethod
    def from_integers(cls, values: Iterable[int]) -> Arc:
        """From `normal cell + reduction cell`, each node `index_1 op_1 index_2 op_2`."""
        integers = [int(value) for value in values]
        if not integers or len(integers) % 8:
            raise UserError(f"an arc has 8 integers a node (40 for 5 nodes), got {len(integers)}")
        nodes = tuple(Node(*integers[i : i + 4]) for i in range(0, len(integers), 4))
        half = len(nodes) // 2
        return cls(nodes[:half], nodes[half:])

    @classmethod
    def parse(cls, text: str, num_nodes: int | None = None) -> Arc:
        """From the integer form, the one that the original takes as `--child_fixed_arc`."""
        integers = []
        for position, word in enumerate(text.split()):
            if not word.isascii() or not word.isdigit():
                raise UserError(f"integer {position} of the arc: {word[:20]!r} is not an integer 0, 1, 2, ...")
            integers.append(int(word.lstrip("0")[:9] or "0"))
        if num_nodes is not None and len(integers) != 8 * num_nodes:
            raise UserError(f"an arc of {num_nodes} nodes has {8 * num_nodes} integers, got {len(integers)}")
        return cls.from_integers(integers)

    def integers(self) -> Iterator[int]:
        """The integer form."""
        return (value for cell in self.cells for node in cell for value in node)

    def __str__(self) -> str:
        return " ".join(str(value) for value in self.integers())

    def to_json(self) -> str:
        """Nodes by cell, operations by name, and the ids that form each cell's output."""
        cells = {
            name: {
                "nodes": [[[n.index_1, OPS[n.op_1]], [n.index_2, OPS[n.op_2]]] for n in cell],
                "output": loose_ids(cell),
            }
            for name, cell in zip(CELLS, self.cells, strict=True)
        }
        return json.dumps({"arc": str(self), **cells})

    def genotype(self) -> str:
        """DARTS-style text. Unlike in DARTS, a concatenation may include the cell inputs 0 and 1."""
        parts = []
        for name, cell in zip(("normal", "reduce"), self.cells, strict=True):
            edges = [(OPS[op], index) for n in cell for op, index in ((n.op_1, n.index_1), (n.op_2, n.index_2))]
            parts.append(f"{name}={edges}, {name}_concat={loose_ids(cell)}")
        return f"Genotype({', '.join(parts)})"


def loose_ids(cell: CellNodes) -> list[int]:
    """Ids (0, 1 = cell inputs, 2.. = nodes) that no node reads, increasing: they form the output."""
    used = {index for node in cell for index in (node.index_1, node.index_2)}
    return [i for i in range(len(cell) + 2) if i not in used]


def read_arc(path: Path, num_nodes: int | None = None) -> Arc:
    """The arc in a text file. Raises UserError, naming the file, when it holds none."""
    try:
        return Arc.parse(path.read_text(), num_nodes)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
