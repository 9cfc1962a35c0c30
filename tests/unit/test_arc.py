"""Arcs of the micro space."""

import ast
import json
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enas_core.spaces.micro.arc import OPS, MicroArc, Node, loose_ids
from enas_core.spaces.micro.sampling import uniform_arc

PAPER = "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"
stable = settings(derandomize=True, deadline=None)


@st.composite
def integer_forms(draw):
    """The integers of a valid arc of 1..8 nodes."""
    num_nodes = draw(st.integers(1, 8))
    ranges = [last for _ in range(2) for i in range(num_nodes) for last in (i + 1, 4, i + 1, 4)]
    return [draw(st.integers(0, last)) for last in ranges]


@stable
@given(integer_forms())
def test_text_and_back(integers):
    arc = MicroArc.from_integers(integers)
    assert str(arc) == " ".join(map(str, integers))
    assert MicroArc.parse(str(arc)) == arc
    assert MicroArc.parse(f"\n {str(arc).replace(' ', '   ')} \n", num_nodes=len(integers) // 8) == arc
    assert list(arc.integers()) == integers
    assert arc.num_nodes == len(integers) // 8


@stable
@given(integer_forms())
def test_json_says_the_same(integers):
    arc = MicroArc.from_integers(integers)
    content = json.loads(arc.to_json())
    assert content["arc"] == str(arc)
    found = [
        value
        for cell in ("normal", "reduction")
        for edges in content[cell]["nodes"]
        for index, op in edges
        for value in (index, OPS.index(op))
    ]
    assert found == integers
    assert [content["normal"]["output"], content["reduction"]["output"]] == [loose_ids(cell) for cell in arc.cells]


@stable
@given(integer_forms())
def test_genotype_says_the_same(integers):
    arc = MicroArc.from_integers(integers)
    call = ast.parse(arc.genotype(), mode="eval").body
    content = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert list(content) == ["normal", "normal_concat", "reduce", "reduce_concat"]
    edges = content["normal"] + content["reduce"]
    assert [value for op, index in edges for value in (index, OPS.index(op))] == integers
    assert [content["normal_concat"], content["reduce_concat"]] == [loose_ids(cell) for cell in arc.cells]


@stable
@given(integer_forms())
def test_output_is_what_no_node_reads(integers):
    for cell in MicroArc.from_integers(integers).cells:
        read = {node.index_1 for node in cell} | {node.index_2 for node in cell}
        assert sorted(read | set(loose_ids(cell))) == list(range(len(cell) + 2))
        assert not read & set(loose_ids(cell))
        assert loose_ids(cell)[-1] == len(cell) + 1


def test_cells_of_the_paper():
    arc = MicroArc.parse(PAPER)
    assert arc.normal[0] == Node(index_1=0, op_1=2, index_2=0, op_2=0)
    assert arc.reduction[2] == Node(index_1=1, op_1=1, index_2=3, op_2=1)
    assert [loose_ids(cell) for cell in arc.cells] == [[2, 3, 4, 5, 6], [2, 4, 5, 6]]


@pytest.mark.parametrize("position", range(40))
def test_errors_name_the_position(position):
    cell, node, field = position // 20, position % 20 // 4, position % 4
    last = 4 if field % 2 else node + 1
    name = f"{('normal', 'reduction')[cell]} cell, node {node}, {Node._fields[field]}"
    integers = [int(word) for word in PAPER.split()]
    integers[position] = last
    MicroArc.from_integers(integers)
    for value in (last + 1, 10**12):
        integers[position] = value
        with pytest.raises(ValueError, match=rf"^{name}: {value} is out of range 0\.\.{last}$"):
            MicroArc.from_integers(integers)
    integers[position] = last + 1
    with pytest.raises(ValueError, match=rf"^{name}: {last + 1} is out of range 0\.\.{last}$"):
        MicroArc.parse(" ".join(map(str, integers)))
    integers[position] = -1
    with pytest.raises(ValueError, match=rf"^{name}: -1 is out of range"):
        MicroArc.from_integers(integers)


@pytest.mark.parametrize("word", ["x", "-1", "1.0", "+1", "1,", "²", "٣", "0x1", "1_0"])
def test_words_that_are_no_integers(word):
    words = PAPER.split()
    words[7] = word
    with pytest.raises(ValueError, match=r"^integer 7 of the arc: '.+' is not an integer"):
        MicroArc.parse(" ".join(words))


def test_leading_zeros_and_endless_numbers():
    assert MicroArc.parse("0 0 0 " + "0" * 20 + "3 0 0 0 0").normal[0].op_2 == 3
    with pytest.raises(ValueError, match="op_2: 999999999 is out of range"):
        MicroArc.parse("0 0 0 " + "9" * 5000 + " 0 0 0 0")


@pytest.mark.parametrize("count", [0, 1, 7, 9, 20, 39, 41, 44])
def test_wrong_lengths(count):
    with pytest.raises(ValueError, match=rf"^an arc has 8 integers a node \(40 for 5 nodes\), got {count}$"):
        MicroArc.parse(" ".join(["0"] * count))


def test_length_against_num_nodes():
    with pytest.raises(ValueError, match=r"^an arc of 4 nodes has 32 integers, got 40$"):
        MicroArc.parse(PAPER, num_nodes=4)


def test_cells_of_different_length():
    node = Node(0, 0, 0, 0)
    with pytest.raises(ValueError, match="same number of nodes, got 1 and 2"):
        MicroArc((node,), (node, node))


def test_immutable_and_usable_as_a_key():
    arc = MicroArc.parse(PAPER)
    with pytest.raises(FrozenInstanceError):
        arc.normal = arc.reduction
    with pytest.raises(AttributeError):
        arc.normal[0].op_1 = 3
    with pytest.raises(TypeError):
        arc.normal[0] = arc.normal[1]
    assert len({arc, MicroArc.parse(PAPER), uniform_arc(0)}) == 2
