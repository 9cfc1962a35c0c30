"""An arc's picture."""

import collections
import itertools
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enas_core.spaces.micro.arc import OPS, MicroArc, loose_ids
from enas_core.spaces.micro.drawing import COLOURS, draw
from enas_core.spaces.micro.sampling import reference_arc, uniform_arc

PAPER = "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"
CHAIN = MicroArc.from_integers(v for _ in range(2) for i in range(10) for v in (i + 1, 4, i + 1, 4))
FAN = MicroArc.from_integers([0, 0, 1, 4] * 20)
ARCS = [MicroArc.parse(PAPER), CHAIN, FAN, *map(reference_arc, range(3))]
ARCS += [uniform_arc(seed, num_nodes) for num_nodes in (1, 2, 3, 5, 10, 16) for seed in range(4)]
SVG = "{http://www.w3.org/2000/svg}"


class Box(NamedTuple):
    """A rectangle, with the texts inside."""

    x: float
    y: float
    width: float
    height: float
    texts: list[str]

    def touches(self, other):
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


def boxes_of(group):
    """Rectangles of a cell, without and with those of the operations inside nodes."""
    rects = [tuple(float(rect.get(key)) for key in ("x", "y", "width", "height")) for rect in group.iter(f"{SVG}rect")]
    texts = [(float(t.get("x")), float(t.get("y")), "".join(t.itertext())) for t in group.iter(f"{SVG}text")]
    boxes = [
        Box(x, y, w, h, [text for tx, ty, text in texts if x <= tx <= x + w and y <= ty <= y + h])
        for x, y, w, h in rects
    ]
    ops = [box for box in boxes if len(box.texts) == 1]
    return [box for box in boxes if len(box.texts) > 1], ops


def index_of(box):
    """The index that other nodes read this box by."""
    return next(int(text.removeprefix("index ")) for text in box.texts if text.startswith("index "))


def lines_of(group):
    """Curves (x1, y1, x2, y2, with arrow head?) and straight lines past the boxes (x1, y1, x2)."""
    curves, straight = [], []
    for path in group.iter(f"{SVG}path"):
        numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*", path.get("d"))]
        if "C" in path.get("d"):
            curves.append((*numbers[:2], *numbers[-2:], path.get("marker-end") is not None))
        elif re.fullmatch(r"M\S+ \S+h\d+", path.get("d")):
            straight.append((numbers[0], numbers[1], numbers[0] + numbers[2]))
    return curves, straight


def cells_of(svg):
    return [group for group in ET.fromstring(svg).findall(f"{SVG}g/{SVG}g")]


def words(op):
    return op.replace("_", " ").replace("3x3", "3×3").replace("5x5", "5×5")


@pytest.mark.parametrize("arc", ARCS)
def test_picture_says_what_the_arc_says(arc):
    """Follow the lines back from every operation and from the output."""
    for group, cell in zip(cells_of(draw(arc)), arc.cells, strict=True):
        boxes, ops = boxes_of(group)
        curves, straight = lines_of(group)
        nodes = [box for box in boxes if "concat" not in box.texts]
        (output,) = [box for box in boxes if "concat" in box.texts]
        leaves = {(box.x + box.width, round(line_y, 1)): index_of(box) for box in nodes for line_y in exits(box)}

        def source(x, y, leaves=leaves, curves=curves, straight=straight):
            if (x, y) in leaves:
                return leaves[x, y]
            (begin,) = {x1 for x1, y1, x2 in straight if (x2, y1) == (x, y)}
            (start,) = {(a, b) for a, b, c, d, _ in curves if (c, d) == (begin, y)}
            return source(*start)

        read = collections.defaultdict(list)
        for x1, y1, x2, y2, head in curves:
            if head:
                (target,) = [box for box in boxes if box.x <= x2 <= box.x + 20 and box.y < y2 < box.y + box.height]
                op = [o.texts[0] for o in ops if o.x == x2 and o.y < y2 < o.y + o.height]
                read["out" if target is output else index_of(target)].append((source(x1, y1), *op))
        expected = {
            i + 2: sorted([(n.index_1, words(OPS[n.op_1])), (n.index_2, words(OPS[n.op_2]))])
            for i, n in enumerate(cell)
        }
        expected["out"] = [(i,) for i in loose_ids(cell)]
        assert {key: sorted(value) for key, value in read.items()} == expected


def exits(box):
    """Where lines may leave: at the middle of an input, beside the + of a node."""
    return [box.y + box.height / 2 + (10 if any(text.startswith("node") for text in box.texts) else 0)]


@pytest.mark.parametrize("arc", ARCS)
def test_nothing_overlaps(arc):
    root = ET.fromstring(draw(arc))
    width, height = float(root.get("width")), float(root.get("height"))
    for group in cells_of(draw(arc)):
        boxes, _ = boxes_of(group)
        _, straight = lines_of(group)
        passing = [Box(x1, y - 2, x2 - x1, 4, []) for x1, y, x2 in straight]
        assert len(boxes) == arc.num_nodes + 3
        assert not [pair for pair in itertools.combinations([*boxes, *passing], 2) if pair[0].touches(pair[1])]
        assert all(box.x >= 0 and box.x + box.width <= width for box in boxes)
        assert all(box.y >= 0 and box.y + box.height <= height for box in boxes)


def test_equal_arcs_give_equal_text():
    program = (
        "from enas_core.spaces.micro.arc import MicroArc; from enas_core.spaces.micro.drawing import draw;"
        f"print(draw(MicroArc.parse('{PAPER}')), end='')"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert draw(MicroArc.parse(PAPER)) == other
    assert draw(MicroArc.parse(PAPER)) != draw(reference_arc(0))


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_self_contained_plain_text(seed, num_nodes):
    svg = draw(uniform_arc(seed, num_nodes))
    assert svg.isascii()
    assert "href" not in svg
    assert len(cells_of(svg)) == 2


def test_every_operation_has_a_colour_of_its_own():
    assert list(COLOURS) == list(OPS)
    assert len(set(COLOURS.values())) == len(OPS)
