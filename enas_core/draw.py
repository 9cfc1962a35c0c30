"""An arc as a picture: both cells, from left to right, as one SVG.

A cell is drawn in columns (Sugiyama): a node stands right of everything that it reads. A line that skips
columns passes them in a slot of its own, shared by all readers of the same id, so that it crosses no box.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from enas_core.arc import OPS, Arc, Cell, loose_ids

COLOURS = {
    "sep_conv_3x3": "#56b4e9",
    "sep_conv_5x5": "#0072b2",
    "avg_pool_3x3": "#e69f00",
    "max_pool_3x3": "#d55e00",
    "identity": "#777777",
}
"""Of Okabe & Ito's colour-blind-safe palette; every operation is also named in words."""

TITLES = ("Normal cell", "Reduction cell")
INK, SOFT, LINE = "#1a1a1a", "#666666", "#555555"
FONT = "font-family=\"Helvetica, Arial, 'Liberation Sans', sans-serif\""

OP_WIDTH, OP_HEIGHT, OP_SPACING = 116, 25, 33  # pixels, as all that follows
NODE_WIDTH, NODE_HEIGHT, NODE_MIDDLE = 182, 98, 10  # the middle of the operations, below the node's own
END_WIDTH, END_HEIGHT = 74, 50  # cell input or output
PASS_HEIGHT, SPACING, GAP, MARGIN, TITLE_HEIGHT = 6, 18, 66, 24, 34
SWEEPS = 40


@dataclass(eq=False)
class Box:
    """Something in a column: a cell input, a node, the output, or a line on its way past (`passing`)."""

    id: int
    column: int
    height: float
    passing: bool = False
    y: float = 0.0
    inputs: list[Link] = field(default_factory=list)
    outputs: list[Link] = field(default_factory=list)


@dataclass(eq=False)
class Link:
    """A line between neighbouring columns; `port` is where it ends, relative to the target's middle."""

    source: Box
    target: Box
    op: str | None = None
    port: float = 0.0

    @property
    def weight(self) -> float:
        """How much it matters that the line is straight."""
        return 4.0 if self.source.passing and self.target.passing else 1.0


def draw(arc: Arc) -> str:
    """SVG of both cells. Equal arcs give equal text."""
    cells = [_Layout(cell) for cell in arc.cells]
    width = max(cell.width for cell in cells) + 2 * MARGIN
    height = sum(cell.height + TITLE_HEIGHT for cell in cells) + MARGIN * (len(cells) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" role="img" {FONT} font-size="13" fill="{INK}">',
        f"<title>arc {arc}</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
        f' orient="auto" markerUnits="userSpaceOnUse"><path d="M0 0.8 8 4 0 7.2z" fill="{LINE}"/></marker></defs>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    top = float(MARGIN)
    for title, cell in zip(TITLES, cells, strict=True):
        parts.append(f'<g transform="translate({MARGIN} {top:.1f})">')
        parts.append(_text(0, 14, title, 'font-size="17" font-weight="bold"', anchor="start"))
        parts.append(f'<g transform="translate(0 {TITLE_HEIGHT})">')
        parts += [*cell.lines(), *cell.boxes(), "</g></g>"]
        top += TITLE_HEIGHT + cell.height + MARGIN
    return "\n".join([*parts, "</svg>", ""])


class _Layout:
    """Columns of a cell's boxes with their places."""

    def __init__(self, cell: Cell) -> None:
        self.num_nodes = len(cell)
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

    def _build(self, cell: Cell) -> None:
        depth = [0, 0]
        for node in cell:
            depth.append(1 + max(depth[node.index_1], depth[node.index_2]))
        loose, last = loose_ids(cell), 1 + max(depth)
        self.columns = [[] for _ in range(last + 1)]
        for i, column in enumerate(depth):
            self._add(Box(i, column, END_HEIGHT if i < 2 else NODE_HEIGHT))
        output = self._add(Box(len(depth), last, max(END_HEIGHT, 14 * len(loose) + 22)))
        boxes = list(self._all())
        by_id = {box.id: box for box in boxes}
        for i, node in enumerate(cell):
            for index, op in ((node.index_1, node.op_1), (node.index_2, node.op_2)):
                self._connect(by_id[index], by_id[i + 2], OPS[op])
        for i in loose:
            self._connect(by_id[i], output, None)

    def _add(self, box: Box) -> Box:
        self.columns[box.column].append(box)
        return box

    def _connect(self, source: Box, target: Box, op: str | None) -> None:
        """Link the two, through a passing box in every column between them."""
        while source.column < target.column - 1:
            known = [link.target for link in source.outputs if link.target.passing]
            if known:
                source = known[0]
            else:
                passing = self._add(Box(source.id, source.column + 1, PASS_HEIGHT, passing=True))
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
                column.sort(key=lambda box: self._mean_rank(box, forward))  # noqa: B023
            self._swap_neighbours()
            if (crossings := self._crossings()) < fewest:
                best, fewest = [list(column) for column in self.columns], crossings
        self.columns = best
        for box in self._all():
            box.inputs.sort(key=lambda link: self._rank(link.source))
            middle = NODE_MIDDLE if 2 <= box.id < self.num_nodes + 2 and not box.passing else 0
            spacing = OP_SPACING if middle else 14
            for i, link in enumerate(box.inputs):
                link.port = middle + (i - (len(box.inputs) - 1) / 2) * spacing

    def _rank(self, box: Box) -> int:
        return self.columns[box.column].index(box)

    def _mean_rank(self, box: Box, forward: bool) -> float:
        ranks = [self._rank(link.source if forward else link.target) for link in (box.inputs if forward else box.outputs)]
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

    def _right(self, box: Box) -> float:
        return self._left(box.column) + (END_WIDTH if box.column == 0 else NODE_WIDTH)

    def lines(self) -> Iterator[str]:
        """Links, and the passing boxes as straight lines."""
        for box in self._all():
            if box.passing:
                yield _path(f"M{self._left(box.column):.1f} {box.y:.1f}H{self._right(box):.1f}")
        for link in self.links:
            x1, y1 = self._right(link.source), link.source.y
            x2, y2 = self._left(link.target.column), link.target.y + link.port
            if link.op is not None:
                x2 += 8
            bend = GAP * 0.55
            yield _path(
                f"M{x1:.1f} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}",
                head=not link.target.passing,
            )

    def boxes(self) -> Iterator[str]:
        """Cell inputs, nodes and the output."""
        for box in self._all():
            x, y = self._left(box.column), box.y - box.height / 2
            if box.passing:
                continue
            if box.id < 2:
                yield _end(x, y, box.height, f"k−{2 - box.id}", f"input {box.id}")
            elif box.id < self.num_nodes + 2:
                yield from _node(x, y, box)
            else:
                yield _end(x, y, box.height, "k", "concat")


def _wish(box: Box) -> float:
    """The height at which the box's lines would be straight."""
    wishes = [(link.source.y - link.port, link.weight) for link in box.inputs]
    wishes += [(link.target.y + link.port, link.weight) for link in box.outputs]
    return sum(y * weight for y, weight in wishes) / sum(weight for _, weight in wishes)


def _spread(column: list[Box], wishes: list[float]) -> None:
    """Nearest heights to `wishes` (least squares) that keep order and distances: isotonic regression."""
    offsets = [0.0]
    for above, below in itertools.pairwise(column):
        offsets.append(offsets[-1] + (above.height + below.height) / 2 + SPACING)
    blocks: list[list[float]] = []
    for wish, offset in zip(wishes, offsets, strict=True):
        blocks.append([wish - offset])
        while len(blocks) > 1 and _mean(blocks[-2]) >= _mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    places = [_mean(block) for block in blocks for _ in block]
    for box, place, offset in zip(column, places, offsets, strict=True):
        box.y = place + offset


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _path(shape: str, head: bool = False) -> str:
    end = ' marker-end="url(#head)"' if head else ""
    return f'<path d="{shape}" fill="none" stroke="{LINE}" stroke-width="1.5"{end}/>'


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {style}>{text}</text>'


def _rect(x: float, y: float, width: float, height: float, radius: float, style: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius}" {style}/>'


def _end(x: float, y: float, height: float, index: str, caption: str) -> str:
    middle, centre = y + height / 2, x + END_WIDTH / 2
    name = f'c<tspan dy="4" font-size="11">{index}</tspan>'
    return "\n".join(
        [
            _rect(x, y, END_WIDTH, height, 8, f'fill="#e8e8e8" stroke="{INK}" stroke-width="1.3"'),
            _text(centre, middle - 2, name, 'font-size="17" font-style="italic"'),
            _text(centre, middle + 17, caption, f'font-size="11" fill="{SOFT}"'),
        ]
    )


def _node(x: float, y: float, box: Box) -> Iterator[str]:
    yield _rect(x, y, NODE_WIDTH, NODE_HEIGHT, 8, f'fill="#fafafa" stroke="{SOFT}" stroke-width="1"')
    yield _text(x + 10, y + 19, f"node {box.id - 2}", 'font-weight="bold"', anchor="start")
    yield _text(x + NODE_WIDTH - 10, y + 19, f"input {box.id}", f'font-size="11" fill="{SOFT}"', anchor="end")
    plus_x, plus_y = x + NODE_WIDTH - 22, box.y + NODE_MIDDLE
    for link in box.inputs:
        assert link.op is not None
        middle, right = box.y + link.port, x + 8 + OP_WIDTH
        yield _path(f"M{right:.1f} {middle:.1f}L{plus_x:.1f} {plus_y:.1f}")
        colour = COLOURS[link.op]
        style = f'fill="{colour}" fill-opacity="0.22" stroke="{colour}" stroke-width="2"'
        yield _rect(x + 8, middle - OP_HEIGHT / 2, OP_WIDTH, OP_HEIGHT, 12, 'fill="#ffffff"')
        yield _rect(x + 8, middle - OP_HEIGHT / 2, OP_WIDTH, OP_HEIGHT, 12, style)
        yield _text(x + 8 + OP_WIDTH / 2, middle + 4.5, _words(link.op))
    yield f'<circle cx="{plus_x:.1f}" cy="{plus_y:.1f}" r="11" fill="#ffffff" stroke="{INK}" stroke-width="1.3"/>'
    yield _path(f"M{plus_x - 6:.1f} {plus_y:.1f}h12M{plus_x:.1f} {plus_y - 6:.1f}v12")


def _words(op: str) -> str:
    """`sep_conv_3x3` as `sep conv 3×3`."""
    return op.replace("_", " ").replace("3x3", "3×3").replace("5x5", "5×5")
