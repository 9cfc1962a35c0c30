"""The networks of an experiment, whose names are made in one place."""

import re

import pytest

from enas_core import augment
from enas_core.settings.networks import (
    RESERVED,
    NamedNetwork,
    networks_of,
    random_network,
    searched_network,
    strategy_network,
)
from enas_core.settings.workflow import parse_workflow

ARC = " ".join(["0 4 1 4"] * 10)


def test_found_random_and_named_networks_in_this_order():
    raw = {"dataset": {"name": "digits", "source": "digits", "split_test_images": 360}}
    raw |= {"search": {"seeds": [3, 12], "valid_images": 300, "aux_head": False}, "augment": {"aux_head": False}}
    raw |= {"baseline": {"num_arcs": 2}, "arcs": {"random-forest": ARC}, "select": {"compare": ["random"]}}
    experiment = parse_workflow({"experiments": {"x": raw}}).experiments["x"]
    assert networks_of(experiment) == [
        NamedNetwork("searched-s3", "searched", 3),
        NamedNetwork("searched-s12", "searched", 12),
        NamedNetwork("random-00", "random"),
        NamedNetwork("random-01", "random"),
        NamedNetwork("random-forest", "named"),
        NamedNetwork("random-s3", "strategy", 3, "random"),
        NamedNetwork("random-s12", "strategy", 12, "random"),
    ]


@pytest.mark.parametrize("number", [0, 7, 99, 100, 12345])
def test_the_names_that_networks_get_are_reserved(number):
    others = [strategy_network(strategy, number) for strategy in ("policy", "random", "evolution", "local_search")]
    for network in (searched_network(number), random_network(number), *others):
        assert re.fullmatch(RESERVED, network.name)


@pytest.mark.parametrize("name", ["transfer", "searched-best", "random-forest", "random-1b", "searched-1", "evolution"])
def test_other_names_are_free(name):
    assert not re.fullmatch(RESERVED, name)


@pytest.mark.parametrize(
    "options", [["--role", "searched"], ["--role", "strategy"], ["--role", "random", "--search-seed", "1"]]
)
def test_a_search_seed_belongs_to_a_searched_network(options, tmp_path, capsys):
    given = {"config": "c", "data": "d", "arc-file": "a", "network": "n", "seed": 1, "out-dir": "o", "state-dir": "s"}
    words = [f"--{name}={value}" for name, value in given.items()]
    assert augment.main([*words, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --search-seed belongs to --role searched")


@pytest.mark.parametrize(
    "options", [["--role", "strategy", "--search-seed", "1"], ["--role", "named", "--strategy", "random"]]
)
def test_a_strategy_belongs_to_what_it_has_chosen(options, capsys):
    given = {"config": "c", "data": "d", "arc-file": "a", "network": "n", "seed": 1, "out-dir": "o", "state-dir": "s"}
    assert augment.main([*[f"--{name}={value}" for name, value in given.items()], *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --strategy belongs to --role strategy")
