"""The networks of an experiment, whose names are made in one place."""

import re

import pytest

from enas_core import augment
from enas_core.settings.networks import RESERVED, NamedNetwork, networks_of, random_network, searched_network
from enas_core.settings.workflow import parse_workflow

ARC = " ".join(["0 4 1 4"] * 10)


def test_found_random_and_named_networks_in_this_order():
    raw = {"dataset": {"name": "digits", "source": "digits", "split_test_images": 360}}
    raw |= {"search": {"seeds": [3, 12], "valid_images": 300, "aux_head": False}, "augment": {"aux_head": False}}
    raw |= {"baseline": {"num_arcs": 2}, "arcs": {"random-forest": ARC}}
    experiment = parse_workflow({"experiments": {"x": raw}}).experiments["x"]
    assert networks_of(experiment) == [
        NamedNetwork("searched-s3", "searched", 3),
        NamedNetwork("searched-s12", "searched", 12),
        NamedNetwork("random-00", "random"),
        NamedNetwork("random-01", "random"),
        NamedNetwork("random-forest", "named"),
    ]


@pytest.mark.parametrize("number", [0, 7, 99, 100, 12345])
def test_the_names_that_networks_get_are_reserved(number):
    for network in (searched_network(number), random_network(number)):
        assert re.fullmatch(RESERVED, network.name)


@pytest.mark.parametrize("name", ["transfer", "searched-best", "random-forest", "random-1b", "searched-1"])
def test_other_names_are_free(name):
    assert not re.fullmatch(RESERVED, name)


@pytest.mark.parametrize("options", [["--role", "searched"], ["--role", "random", "--search-seed", "1"]])
def test_a_search_seed_belongs_to_a_searched_network(options, tmp_path, capsys):
    given = {"config": "c", "data": "d", "arc-file": "a", "network": "n", "seed": 1, "out-dir": "o", "state-dir": "s"}
    words = [f"--{name}={value}" for name, value in given.items()]
    assert augment.main([*words, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --search-seed belongs to --role searched")
