"""An arc as a picture: both cells, from left to right, with a legend, as one SVG.

A cell is drawn in columns (Sugiyama): a node stands right of everything that it reads. A line that skips
columns passes them in a slot of its own, shared by all readers of the same id, so that it crosses no box.
"""

from __future__ import annotations

import functools
import html
import itertools
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from enas_core.spaces.micro.arc import OPS, CellNodes, MicroArc, loose_ids

COLOURS = {
    "sep_conv_3x3": "#56b4e9",
    "sep_conv_5x5": "#0072b2",
    "avg_pool_3x3": "#e69f00",
    "max_pool_3x3": "#d55e00",
    "identity": "#777777",
}
"""Of Okabe & Ito's colour-blind-safe palette; every operation is also named in words."""


TITLES = (("Normal cell", ""), ("Reduction cell", "operations on index 0 and 1 have stride 2"))


LEGEND = (
    "A node adds the outputs of two operations; what no node reads is concatenated.",
    "The inputs are the outputs of the previous layer (k-1) and of the one before it (k-2).",
)


INK, SOFT, LINE = "#1a1a1a", "#666666", "#555555"


SMALL = f'font-size="11" fill="{SOFT}"'


FONT = "font-family=\"Helvetica, Arial, 'Liberation Sans', sans-serif\""


OP_WIDTH, OP_HEIGHT, OP_SPACING = 116, 25, 33  # pixels, as all that follows


NODE_WIDTH, NODE_HEIGHT, NODE_LEVEL = 184, 98, 10  # the middle of the operations is below the node's own


END_WIDTH, END_HEIGHT, PORT_SPACING = 74, 50, 14  # cell input or output


PASS_HEIGHT, SPACING, GAP, MARGIN, PADDING, TITLE_HEIGHT = 6, 18, 66, 24, 9, 34


LEGEND_WIDTH, LEGEND_LINE, KEY_WIDTH, NOTE_LETTER = 520, 20, 130, 7  # the legend's least width; the width of a letter


SWEEPS = 40


@dataclass(eq=False)
class Box:
    """Something in a column; `pass` is a line on its way past. `y` is that of its middle."""

    kind: Literal["input", "node", "pass", "output"]
    id: int
    column: int
    height: float
    y: float = 0.0
    inputs: list[Link] = field(default_factory=list)
    outputs: list[Link] = field(default_factory=list)

    @property
    def level(self) -> float:
        """Where lines leave, and around which they arrive."""
        return self.y + (NODE_LEVEL if self.kind == "node" else 0)


@dataclass(eq=False)
class Link:
    """A line between neighbouring columns; `port` is where it ends, relative to the target's level."""

    source: Box
    target: Box
    op: str | None = None
    port: float = 0.0

    @property
    def weight(self) -> float:
        """How much it matters that the line is straight."""
        return 4.0 if self.source.kind == self.target.kind == "pass" else 1.0


def draw(arc: MicroArc, notes: Sequence[str] = ()) -> str:
    """SVG of both cells, with the lines `notes` below them. Equal arcs and notes give equal text."""
    cells = [_Layout(cell) for cell in arc.cells]
    inner = max(LEGEND_WIDTH, *(cell.width for cell in cells))
    below = list(_legend(notes, inner))
    width = inner + 2 * MARGIN
    height = sum(cell.height + TITLE_HEIGHT for cell in cells) + MARGIN * (len(cells) + 2) + LEGEND_LINE * len(below)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" role="img" {FONT} font-size="13" fill="{INK}">',
        f"<title>arc {arc}</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
        f' orient="auto" markerUnits="userSpaceOnUse"><path d="M0 0.8 8 4 0 7.2z" fill="{LINE}"/></marker></defs>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    top = float(MARGIN)
    for (title, note), cell in zip(TITLES, cells, strict=True):
        parts.append(f'<g transform="translate({MARGIN} {top:.1f})">')
        parts.append(_text(0, 14, title, 'font-size="17" font-weight="bold"', anchor="start"))
        parts.append(_text(140, 14, note, SMALL, anchor="start"))
        parts.append(f'<g transform="translate(0 {TITLE_HEIGHT})">')
        parts += [*cell.svg(), "</g></g>"]
        top += TITLE_HEIGHT + cell.height + MARGIN
    for line, content in enumerate(below, 1):
        parts.append(f'<g transform="translate({MARGIN} {top + LEGEND_LINE * line:.1f})">{content}</g>')
    return "\n".join([*parts, "</svg>", ""])


class _Layout:
    """Columns of a cell's boxes with their places."""

    def __init__(self, cell: CellNodes) -> None:
        self.columns: list[list[Box]] = []
        self.links: list[Link] = []
        self._build(cell)
        self._order()
        self._place()
        edges = [(box.y - box.height / 2, box.y + box.height / 2) for box in self._all()]
        top = min(low for low, _ in edges)
        self.height = max(high for _, high in edges) - top
        for box in self._all():
            box.y -= top
        self.width = self._left(len(self.columns) - 1) + END_WIDTH

    def _all(self) -> Iterator[Box]:
        return itertools.chain.from_iterable(self.columns)

    # --- which boxes, in which columns

    def _build(self, cell: CellNodes) -> None:
        depth = [0, 0]
        for node in cell:
            depth.append(1 + max(depth[node.index_1], depth[node.index_2]))
        loose, last = loose_ids(cell), 1 + max(depth)
        self.columns = [[] for _ in range(last + 1)]
        for i, column in enumerate(depth):
            self._add(Box("input", i, column, END_HEIGHT) if i < 2 else Box("node", i, column, NODE_HEIGHT))
        output = self._add(Box("output", len(depth), last, max(END_HEIGHT, PORT_SPACING * len(loose) + 22)))
        boxes = list(self._all())
        by_id = {box.id: box for box in boxes}
        for i, node in enumerate(cell):
            for index, op in node.edges:
                self._connect(by_id[index], by_id[i + 2], OPS[op])
        for i in loose:
            self._connect(by_id[i], output, None)

    def _add(self, box: Box) -> Box:
        self.columns[box.column].append(box)
        return box

    def _connect(self, source: Box, target: Box, op: str | None) -> None:
        """Link the two, through a passing box in every column between them."""
        while source.column < target.column - 1:
            known = [link.target for link in source.outputs if link.target.kind == "pass"]
            if known:
                source = known[0]
            else:
                passing = self._add(Box("pass", source.id, source.column + 1, PASS_HEIGHT))
                self._link(source, passing, None)
                source = passing
        self._link(source, target, op)

    def _link(self, source: Box, target: Box, op: str | None) -> None:
        link = Link(source, target, op)
        self.links.append(link)
        source.outputs.append(link)
        target.inputs.append(link)

    # --- the order in each column: few crossings

    def _order(self) -> None:
        best = [list(column) for column in self.columns]
        fewest = self._crossings()
        for sweep in range(SWEEPS):
            forward = sweep % 2 == 0
            for column in self.columns[1:] if forward else self.columns[-2::-1]:
                column.sort(key=functools.partial(self._mean_rank, forward=forward))
            self._swap_neighbours()
            if (crossings := self._crossings()) < fewest:
                best, fewest = [list(column) for column in self.columns], crossings
        self.columns = best
        for box in self._all():
            box.inputs.sort(key=lambda link: self._rank(link.source))
            spacing = OP_SPACING if box.kind == "node" else PORT_SPACING
            for i, link in enumerate(box.inputs):
                link.port = (i - (len(box.inputs) - 1) / 2) * spacing

    def _rank(self, box: Box) -> int:
        return self.columns[box.column].index(box)

    def _mean_rank(self, box: Box, forward: bool) -> float:
        others = [link.source for link in box.inputs] if forward else [link.target for link in box.outputs]
        ranks = [self._rank(other) for other in others]
        return sum(ranks) / len(ranks) if ranks else self._rank(box)

    def _swap_neighbours(self) -> None:
        fewest, improved = self._crossings(), True
        while improved:
            improved = False
            for column in self.columns:
                for i in range(len(column) - 1):
                    column[i : i + 2] = column[i + 1], column[i]
                    if (crossings := self._crossings()) < fewest:
                        fewest, improved = crossings, True
                    else:
                        column[i : i + 2] = column[i + 1], column[i]

    def _crossings(self) -> int:
        total = 0
        for column in self.columns[:-1]:
            ends = [(self._rank(a.source), self._rank(a.target)) for box in column for a in box.outputs]
            total += sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in itertools.combinations(ends, 2))
        return total

    # --- the height of each box: straight lines

    def _place(self) -> None:
        for column in self.columns:
            _spread(column, [0.0] * len(column))
        for sweep in range(SWEEPS):
            for column in self.columns if sweep % 2 else self.columns[::-1]:
                _spread(column, [_wish(box) for box in column])

    # --- drawing

    @staticmethod
    def _left(column: int) -> float:
        return 0.0 if column == 0 else END_WIDTH + GAP + (column - 1) * (NODE_WIDTH + GAP)

    def svg(self) -> Iterator[str]:
        """Boxes, and the lines between them."""
        for box in self._all():
            yield from _DRAWN[box.kind](box, self._left(box.column))
        for link in self.links:
            x1 = self._left(link.source.column) + (END_WIDTH if link.source.kind == "input" else NODE_WIDTH)
            x2 = self._left(link.target.column) + (PADDING if link.op else 0)
            y1, y2, bend = link.source.level, link.target.level + link.port, GAP * 0.55
            curve = f"M{x1:.1f} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
            yield _path(curve, head=link.target.kind != "pass")


def _wish(box: Box) -> float:
    """The height at which the box's lines would be straight."""
    wishes = [(link.source.level - link.port, link.weight) for link in box.inputs]
    wishes += [(link.target.level + link.port, link.weight) for link in box.outputs]
    return sum(y * weight for y, weight in wishes) / sum(weight for _, weight in wishes) - (box.level - box.y)


def _spread(column: list[Box], wishes: list[float]) -> None:
    """Nearest heights to `wishes` (least squares) that keep order and distances: isotonic regression."""
    from scipy.optimize import isotonic_regression  # which commands that draw nothing need not wait for

    offsets = [0.0]
    for above, below in itertools.pairwise(column):
        offsets.append(offsets[-1] + (above.height + below.height) / 2 + SPACING)
    places = isotonic_regression([wish - offset for wish, offset in zip(wishes, offsets, strict=True)]).x
    for box, place, offset in zip(column, places.tolist(), offsets, strict=True):
        box.y = place + offset


def _path(shape: str, head: bool = False) -> str:
    end = ' marker-end="url(#head)"' if head else ""
    return f'<path d="{shape}" fill="none" stroke="{LINE}" stroke-width="1.5"{end}/>'


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {style}>{text}</text>'


def _rect(x: float, y: float, width: float, height: float, radius: float, style: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius}" {style}/>'


def _pass(box: Box, x: float) -> Iterator[str]:
    yield _path(f"M{x:.1f} {box.y:.1f}h{NODE_WIDTH}")


def _input(box: Box, x: float) -> Iterator[str]:
    return _end(box, x, f"k&#8722;{2 - box.id}", f"index {box.id}")


def _output(box: Box, x: float) -> Iterator[str]:
    return _end(box, x, "k", "concat")


def _end(box: Box, x: float, subscript: str, caption: str) -> Iterator[str]:
    """Input or output of the cell."""
    style = f'fill="#e8e8e8" stroke="{INK}" stroke-width="1.3"'
    yield _rect(x, box.y - box.height / 2, END_WIDTH, box.height, 8, style)
    name = f'c<tspan dy="4" font-size="11">{subscript}</tspan>'
    yield _text(x + END_WIDTH / 2, box.y - 2, name, 'font-size="17" font-style="italic"')
    yield _text(x + END_WIDTH / 2, box.y + 17, caption, SMALL)


def _node(box: Box, x: float) -> Iterator[str]:
    top, right = box.y - NODE_HEIGHT / 2, x + NODE_WIDTH
    yield _rect(x, top, NODE_WIDTH, NODE_HEIGHT, 8, f'fill="#fafafa" stroke="{SOFT}" stroke-width="1"')
    yield _text(x + 10, top + 19, f"node {box.id - 2}", 'font-weight="bold"', anchor="start")
    yield _text(right - 10, top + 19, f"index {box.id}", SMALL, anchor="end")
    plus = right - 26
    yield _path(f"M{plus:.1f} {box.level:.1f}H{right:.1f}")
    for link in box.inputs:
        yield from _op(link, x + PADDING, plus)
    yield f'<circle cx="{plus:.1f}" cy="{box.level:.1f}" r="11" fill="#ffffff" stroke="{INK}" stroke-width="1.3"/>'
    yield _path(f"M{plus - 6:.1f} {box.level:.1f}h12m-6 -6v12")


def _op(link: Link, x: float, plus: float) -> Iterator[str]:
    """One operation of a node, with the line from it to the node's sum at x = `plus`."""
    assert link.op is not None
    y, colour = link.target.level + link.port, COLOURS[link.op]
    yield _path(f"M{x + OP_WIDTH:.1f} {y:.1f}L{plus:.1f} {link.target.level:.1f}")
    style = f'fill="{colour}" fill-opacity="0.22" stroke="{colour}" stroke-width="2"'
    yield _rect(x, y - OP_HEIGHT / 2, OP_WIDTH, OP_HEIGHT, 12, style)
    yield _text(x + OP_WIDTH / 2, y + 4.5, _op_name(link.op))


def _legend(notes: Sequence[str], width: float) -> Iterator[str]:
    """Lines below the cells: what the colours are, how to read the picture, and what there is to say of the arc."""
    keys: list[str] = []
    x = 0.0
    for op, colour in COLOURS.items():
        if x + KEY_WIDTH > width:
            yield "".join(keys)
            keys, x = [], 0.0
        keys.append(_rect(x, -10, 18, 12, 4, f'fill="{colour}" fill-opacity="0.22" stroke="{colour}" stroke-width="2"'))
        keys.append(_text(x + 24, 0, _op_name(op), 'font-size="12"', anchor="start"))
        x += KEY_WIDTH
    yield "".join(keys)
    for line in LEGEND:
        yield _text(0, 0, line, f'font-size="12" fill="{SOFT}"', anchor="start")
    for line in [line for note in notes for line in textwrap.wrap(note, int(width / NOTE_LETTER))]:
        yield _text(0, 0, html.escape(line), 'font-size="12"', anchor="start")


def _op_name(op: str) -> str:
    return op.replace("_", " ").replace("3x3", "3&#215;3").replace("5x5", "5&#215;5")


_DRAWN = {"input": _input, "node": _node, "pass": _pass, "output": _output}
