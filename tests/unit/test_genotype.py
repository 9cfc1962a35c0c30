"""Genotypes of DARTS and of pt.darts: read as text, never evaluated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enas_core.console import UserError
from enas_core.spaces.micro.arc import OPS, MicroArc
from enas_core.spaces.micro.genotype import is_genotype, parse_genotype
from enas_core.spaces.micro.sampling import uniform_arc


@given(st.integers(1, 7), st.integers(0, 10_000))
def test_an_arc_survives_its_genotype(num_nodes, seed):
    arc = uniform_arc(seed, num_nodes)
    assert parse_genotype(arc.genotype()) == arc


def by_node(cell):
    """The list of a cell's nodes in pt.darts' form."""
    return [[(OPS[op].replace("identity", "skip_connect"), index) for index, op in node.edges] for node in cell]


@given(st.integers(1, 7), st.integers(0, 10_000))
def test_an_arc_survives_the_form_of_pt_darts(num_nodes, seed):
    arc = uniform_arc(seed, num_nodes)
    concat = f"range(2, {num_nodes + 2})"
    text = (
        f"Genotype(normal={by_node(arc.normal)}, normal_concat={concat},"
        f" reduce={by_node(arc.reduction)}, reduce_concat={concat})"
    )
    assert is_genotype(text)
    assert parse_genotype(text) == arc


def with_cell(text):
    """A genotype with this list in both cells."""
    return f"Genotype(normal={text}, reduce={text})"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1)])", "reduce: missing"),
        ("Genotype(", "not of the form"),
        ("Genotype([1])", "not of the form"),
        ("Genotype(normal=open('x'), reduce=[])", "not of the form"),
        ("Genotype(normal=__import__('os').system('true'), reduce=[])", "not of the form"),
        ("Genotype(normal=[], reduce=[], normal_concat=range(10**9))", "not of the form"),
        ("Genotype(normal=[], reduce=[], other=[])", "not of the form"),
        ("Genotype(" + "(" * 5000, "not of the form"),
        (
            with_cell("[('dil_conv_3x3', 0), ('none', 1)]"),
            "normal, node 0: 'dil_conv_3x3' is not in this space; allowed",
        ),
        (with_cell("[('sep_conv_3x3', 0)]"), "normal: 1 edges"),
        (with_cell("[[('sep_conv_3x3', 0)], [('sep_conv_3x3', 0)]]"), "normal: a node of this space has two edges"),
        (with_cell("[('sep_conv_3x3', 0), ('sep_conv_3x3', 2)]"), "normal cell, node 0, index_2: 2 is out of range"),
        (with_cell("[('sep_conv_3x3', 0), 7]"), "normal, node 0: 7: not an edge"),
    ],
)
def test_what_is_none_is_one_line(text, message):
    with pytest.raises(UserError, match=r"^genotype: ") as caught:
        parse_genotype(text)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_another_output_is_told(caplog):
    edges = "[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('identity', 2), ('identity', 0)]"
    text = f"Genotype(normal={edges}, normal_concat=range(2, 4), reduce={edges}, reduce_concat=[3])"
    arc = parse_genotype(text)
    assert arc == MicroArc.parse("0 0 1 0 2 4 0 4 0 0 1 0 2 4 0 4")
    (record,) = caplog.records
    assert record.getMessage() == (
        "genotype: normal_concat: [2, 3]: in this space the output is what no node reads: [3]"
    )
