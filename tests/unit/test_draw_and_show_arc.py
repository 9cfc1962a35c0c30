"""An arc's picture, and the tool that shows it with the size of its network."""

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

from enas_core import show_arc
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


def shown(capsys):
    """What was printed, by the name at the beginning of the line."""
    return dict(re.split(r"\s{2,}", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())


def test_shows_the_paper_s_arc(tmp_path, capsys):
    picture = tmp_path / "new" / "paper.svg"
    assert show_arc.main([PAPER, "--svg", str(picture)]) == 0
    lines = shown(capsys)
    arc = MicroArc.parse(PAPER)
    assert (lines["arc"], lines["genotype"], lines["json"]) == (PAPER, arc.genotype(), arc.to_json())
    assert lines["network"] == "15 + 2 layers, 36 filters, images 32x32x3, 10 classes"
    assert lines["parameters"] == "3,894,372"
    assert lines["auxiliary head"] == "494,848 more, in training only (4,389,220 together)"
    assert int(lines["MACs"].removesuffix(" for one image").replace(",", "")) > 5e8
    assert lines["picture"] == str(picture)
    assert picture.read_text() == draw(arc)


def test_macs_of_a_network_small_enough_to_count_by_hand(tmp_path, capsys, monkeypatch):
    """One node of two identities that both read input 1: input 0 and the node are the output."""
    monkeypatch.chdir(tmp_path)
    arguments = ["1 4 1 4 1 4 1 4", "--layers", "1", "--filters", "2", "--image-size", "8", "--channels", "1"]
    assert show_arc.main([*arguments, "--classes", "3"]) == 0
    lines = shown(capsys)
    stem = 64 * 9 * 1 * 6
    # reductions at layers 0 and 1. Layer 0, 4 channels at 8x8: both inputs 6 -> 4, base 4 -> 4; then to 4x4 two
    # identities 4 -> 4 and the loose input 4 -> 4
    layer_0 = 64 * (6 * 4 + 6 * 4 + 4 * 4) + 16 * 3 * 4 * 4
    # layer 1, 8 channels at 4x4: input 0 reduced 6 -> 8, input 1 8 -> 8 as it is, base 8 -> 8; then to 2x2
    layer_1 = 16 * (6 * 8 + 8 * 8) + 4 * 3 * 8 * 8
    # layer 2, 8 channels at 2x2: input 0 (8 channels at 4x4) reduced, input 1 16 -> 8, base
    layer_2 = 4 * (8 * 8 + 16 * 8 + 8 * 8)
    classifier = 16 * 3
    assert lines["MACs"] == f"{stem + layer_0 + layer_1 + layer_2 + classifier:,} for one image"
    assert lines["auxiliary head"] == "none, it needs images of at least 20x20"
    assert (tmp_path / "arc.svg").exists()


def test_reads_a_file_and_any_number_of_nodes(tmp_path, capsys):
    file, arc = tmp_path / "mine.txt", uniform_arc(1, 7)
    file.write_text(f"{arc}\n")
    options = ["--layers", "1", "--filters", "2", "--svg", str(tmp_path / "a.svg")]
    assert show_arc.main([str(file), *options]) == 0
    assert shown(capsys)["arc"] == str(arc)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([PAPER.replace("1 0 0 1 0 2", "1 0 6 1 0 2", 1)], "normal cell, node 3, index_2: 6 is out of range 0..4"),
        ([PAPER + " 1"], "an arc has 8 integers a node (40 for 5 nodes), got 41"),
        ([""], "an arc has 8 integers a node (40 for 5 nodes), got 0"),
        (["1 2 x"], "integer 2 of the arc: 'x' is not an integer 0, 1, 2, ..."),
        (["arcs/typo.txt"], "arcs/typo.txt: neither an arc in quotes nor a file"),
        (["bad.txt"], "bad.txt: integer 0 of the arc: 'hello' is not an integer 0, 1, 2, ..."),
        ([PAPER, "--filters", "3"], "--filters: 3: allowed is a multiple of 2"),
        ([PAPER, "--layers", "0"], "--layers: 0: allowed is greater than or equal to 1"),
        ([PAPER, "--image-size", "2"], "--image-size: 2: allowed is greater than or equal to 4"),
        ([PAPER, "--image-size", "9999"], "--image-size: 9999: allowed is less than or equal to 4096"),
        ([PAPER, "--channels", "9999"], "--channels: 9999: allowed is less than or equal to 1024"),
        ([PAPER, "--classes", "9" * 20], f"--classes: {'9' * 20}: allowed is less than or equal to 1000000"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.txt").write_text("hello\n")
    assert show_arc.main(arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"error: {message}\n")
    assert not (tmp_path / "arc.svg").exists()


def test_a_picture_that_cannot_be_written(tmp_path, capsys):
    arguments = ["1 4 1 4 1 4 1 4", "--layers", "1", "--filters", "2", "--svg", str(tmp_path)]
    assert show_arc.main(arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"error: {tmp_path}: Is a directory\n")
