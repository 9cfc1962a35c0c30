"""`extends`: what a null removes, and what it inherits."""

import pytest

from enas_core.console import UserError
from enas_core.settings.merging import inherited, merged
from enas_core.settings.workflow import parse_workflow

PARENT = {
    "dataset": {"name": "cifar10", "source": "torchvision"},
    "arcs": {"x": " ".join(["0 4 1 4"] * 10), "y": " ".join(["1 4 0 4"] * 10)},
}


def arcs_of(child):
    """Names of the arcs of an experiment that extends one with the arcs x and y."""
    return list(parse_workflow({"experiments": {"a": PARENT, "b": {"extends": "a", **child}}}).experiments["b"].arcs)


def test_arcs_are_inherited():
    assert arcs_of({}) == ["x", "y"]


def test_a_null_removes_the_arc_of_that_name():
    assert arcs_of({"arcs": {"x": None}}) == ["y"]


def test_a_null_removes_all_arcs():
    assert arcs_of({"arcs": None}) == []


def test_what_does_not_fit_can_be_removed():
    assert arcs_of({"num_nodes": 7, "arcs": None}) == []
    assert arcs_of({"num_nodes": 7, "arcs": {"x": None, "y": None}}) == []


def test_a_null_that_removes_nothing_is_a_mistake():
    with pytest.raises(UserError, match=r"experiments\.b\.arcs\.z: None: allowed is an arc in quotes"):
        arcs_of({"arcs": {"z": None}})
    with pytest.raises(UserError, match=r"experiments\.a\.arcs: None"):
        parse_workflow({"experiments": {"a": {**PARENT, "arcs": None}}})


def test_what_was_removed_once_is_not_there_to_be_removed_again():
    chain = {"a": PARENT, "b": {"extends": "a", "arcs": {"x": None}}, "c": {"extends": "b", "arcs": {"x": None}}}
    with pytest.raises(UserError, match=r"experiments\.c\.arcs\.x: None"):
        parse_workflow({"experiments": chain})


def test_a_removed_arc_can_be_replaced_by_another():
    other = " ".join(["0 3 1 3"] * 10)
    assert inherited({"a": PARENT, "b": {"extends": "a", "arcs": {"x": other}}}, "b")["arcs"]["x"] == other


def test_a_null_section_inherits_it_as_it_is():
    assert merged({"search": {"l2": 1.0}}, {"search": None}) == {"search": {"l2": 1.0}}


def test_a_null_value_overrides():
    assert merged({"search": {"clip_norm": 5.0}}, {"search": {"clip_norm": None}}) == {"search": {"clip_norm": None}}
