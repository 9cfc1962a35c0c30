"""Genotypes, the text form of DARTS and of its many descendants, pt.darts among them. They are parsed, never evaluated.

    Genotype(normal=[[("sep_conv_3x3", 0), ("skip_connect", 1)], ...], normal_concat=range(2, 6), reduce=..., ...)

Of each node the two edges stand in a list of their own (pt.darts) or all edges of a cell in one list (DARTS).
"""

from __future__ import annotations

import ast
from typing import Any

from enas_core.console import UserError, log
from enas_core.spaces.micro.arc import OPS, CellNodes, MicroArc, Node, loose_ids

LONGEST = 100_000
"""Characters; a longer text is none."""

OTHER_NAMES = {"skip_connect": "identity"}
"""What DARTS calls one of the operations."""

SECTIONS = ("normal", "normal_concat", "reduce", "reduce_concat")


def is_genotype(text: str) -> bool:
    """Whether a text means to be one."""
    return text.lstrip().startswith("Genotype(")


def parse_genotype(text: str) -> MicroArc:
    """The arc with the edges of a genotype. Raises UserError, one line that names the place, when it is none of this
    space. Where a cell's output is another one than in this space, the log says so."""
    sections = _sections(text)
    cells = {name: _cell(name, sections.get(name)) for name in ("normal", "reduce")}
    try:
        arc = MicroArc(*cells.values())
    except ValueError as error:
        raise UserError(f"genotype: {error}") from None
    for name, cell in cells.items():
        _compare_output(f"{name}_concat", sections.get(f"{name}_concat"), loose_ids(cell))
    return arc


def _sections(text: str) -> dict[str, Any]:
    """What stands behind each name, as plain lists, texts and numbers."""
    try:
        if len(text) > LONGEST:
            raise ValueError("too long")
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or call.args or not all(keyword.arg in SECTIONS for keyword in call.keywords):
            raise ValueError("other parts")
        return {str(keyword.arg): _value(keyword.value) for keyword in call.keywords}
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise UserError(f"genotype: not of the form Genotype({'=..., '.join(SECTIONS)}=...)") from None


def _value(node: ast.expr) -> Any:
    """A literal, or a range as a list."""
    is_range = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"
    if not is_range:
        return ast.literal_eval(node)
    assert isinstance(node, ast.Call)
    limits = [ast.literal_eval(argument) for argument in node.args]
    if not all(type(limit) is int and abs(limit) < 1000 for limit in limits):
        raise ValueError("a range of something else")
    return list(range(*limits))


def _cell(name: str, value: Any) -> CellNodes:
    """The nodes of a cell, from a list of two edges each or from all edges in one list."""
    if not isinstance(value, list) or not value:
        raise UserError(f"genotype: {name}: missing, or not a list of edges")
    edges = value
    if all(isinstance(node, list) for node in value):
        edges = [edge for node in value for edge in node]
        if any(len(node) != 2 for node in value):
            raise UserError(f"genotype: {name}: a node of this space has two edges")
    if len(edges) % 2:
        raise UserError(f"genotype: {name}: {len(edges)} edges: a node of this space has two")
    numbers = [number for i, edge in enumerate(edges) for number in _edge(f"{name}, node {i // 2}", edge)]
    return tuple(Node(*numbers[i : i + 4]) for i in range(0, len(numbers), 4))


def _edge(place: str, edge: Any) -> tuple[int, int]:
    """Index and operation."""
    match edge:
        case (str(written), int(index)):
            operation = OTHER_NAMES.get(written, written)
        case _:
            raise UserError(f"genotype: {place}: {str(edge)[:40]}: not an edge such as ('sep_conv_3x3', 0)")
    if operation not in OPS:
        allowed = ", ".join([*OPS, *OTHER_NAMES])
        raise UserError(f"genotype: {place}: {written[:40]!r} is not in this space; allowed: {allowed}")
    return index, OPS.index(operation)


def _compare_output(name: str, value: Any, loose: list[int]) -> None:
    """Say where the genotype concatenates something else, as DARTS does: the outputs of all nodes."""
    if value is not None and value != loose:
        shown = str(value)[:40]
        log.warning(f"genotype: {name}: {shown}: in this space the output is what no node reads: {loose}")
