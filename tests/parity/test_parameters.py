"""Trainable values of both kinds of network (`param_counts.json`), which are counted exactly."""

from __future__ import annotations

import re

import pytest
from fill import network_shape
from golden import read_json

from enas_core.spaces.measure import count_parameters
from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro
from enas_core.spaces.space import NetworkShape

DATA = read_json("param_counts")
ARCS = {name: MicroArc.from_integers(integers) for name, integers in DATA.get("arcs", {}).items()}
NETWORKS = [(setting, arc) for setting, counts in DATA.get("settings", {}).items() for arc in counts]
SUPERNETS = list(DATA.get("supernet", {}))


def shape_named(setting: str) -> NetworkShape:
    """The shape that a name like L15_F36 or L15_F36_classes100 stands for."""
    match = re.fullmatch(r"L(\d+)_F(\d+)(?:_classes(\d+))?", setting)
    assert match, setting
    num_layers, num_filters, num_classes = match.groups()
    return network_shape(int(num_layers), int(num_filters), int(num_classes or 10))


@pytest.mark.parametrize(("setting", "arc"), NETWORKS)
def test_network(setting: str, arc: str) -> None:
    expected = DATA["settings"][setting][arc]
    space = Micro(MicroSettings(num_nodes=ARCS[arc].num_nodes))
    network = space.network(ARCS[arc], shape_named(setting))
    total, head = count_parameters(network), count_parameters(network.aux_head)
    assert total - head == expected["params"]
    assert total == expected["params"] + expected["aux_params"]


@pytest.mark.parametrize("setting", SUPERNETS)
def test_supernet(setting: str) -> None:
    expected = DATA["supernet"][setting]
    num_nodes = next(iter(ARCS.values())).num_nodes if ARCS else 5
    supernet = Micro(MicroSettings(num_nodes=num_nodes)).supernet(shape_named(setting))
    total, head = count_parameters(supernet), count_parameters(supernet.aux_head)
    assert total - head == expected["params"]
    assert total == expected["params"] + expected["aux_params"]
