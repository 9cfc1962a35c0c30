"""What every policy keeps to: the same tests for each of `policies.POLICIES`, on every space that it knows."""

import io
import math
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "spaces"))

from chain import Chain, ChainSettings

from enas_core.console import UserError
from enas_core.files.schemas import SCHEMAS
from enas_core.policies import POLICIES, policy_class
from enas_core.policies.policy import Policy
from enas_core.settings.search import Controller, PolicyName, Search
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro
from enas_core.training.randomness import draw_for

SPACES = {"micro": Micro(MicroSettings(num_nodes=2)), "chain": Chain(ChainSettings(chain_length=12))}
ONE_SPACE_ONLY = {"controller": "micro"}
KNOWN = [(name, space) for name in POLICIES for space in SPACES if ONE_SPACE_ONLY.get(name, space) == space]
SEARCH = Search(controller=Controller(hidden_size=8, learning_rate=0.1, updates_per_epoch=3, arcs_per_update=4))


@pytest.fixture(params=KNOWN, ids="-".join)
def known(request):
    """A policy's class, and a space that it knows."""
    name, space = request.param
    return policy_class(name), SPACES[space]


@pytest.fixture
def space(known):
    return known[1]


@pytest.fixture
def create(known):
    """Makes the policy anew, with initial values that are drawn from `seed`."""
    kind, space = known
    return lambda seed=0: kind(space, SEARCH, torch.Generator().manual_seed(seed))


def learns(policy):
    return policy.plan(SEARCH).updates > 0


def accuracies(count, step=0):
    generator = torch.Generator().manual_seed(step)
    return torch.rand(count, generator=generator).tolist()


def updated(policy, steps=range(5)):
    """What some updates tell, each from as many arcs as the policy plans."""
    count = policy.plan(SEARCH).arcs
    found = []
    for step in steps:
        arcs = policy.propose(count, draw_for(0, "reward arcs", step))
        found.append(policy.update(arcs, accuracies(count, step)))
    return found


def proposed(policy):
    return policy.propose(40, draw_for(7, "arcs"))


def through_a_file(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def test_the_registry_has_all_names_and_nothing_but_policies():
    assert set(POLICIES) == set(get_args(PolicyName))
    assert all(issubclass(policy_class(name), Policy) for name in POLICIES)


@pytest.mark.parametrize("name", ONE_SPACE_ONLY)
def test_other_spaces_are_refused_in_one_line(name):
    for space_name, space in SPACES.items():
        if space_name != ONE_SPACE_ONLY[name]:
            with pytest.raises(UserError, match=rf"^search.policy: '{name}' knows .* allowed: uniform$"):
                policy_class(name)(space, SEARCH, torch.Generator())


def test_arcs_are_of_the_space(create, space):
    arcs = proposed(create())
    assert len(arcs) == 40
    for arc in arcs:
        assert space.parse(str(arc)) == arc
        assert space.from_choices(space.choices(arc)) == arc
    assert len(set(arcs)) > 1


def test_proposals_depend_on_the_draw_and_the_state_alone(create):
    policy = create()
    first = proposed(policy)
    torch.manual_seed(99)  # the global generator has no part in it
    policy.propose(3, draw_for(8, "arcs"))  # nor have earlier proposals
    assert proposed(policy) == first
    assert proposed(create()) == first
    for draw in (draw_for(8, "arcs"), draw_for(7, "other arcs"), draw_for(7, "arcs", 1)):
        assert policy.propose(40, draw) != first


def test_an_update_tells_finite_numbers_and_changes_what_learns(create):
    policy = create()
    before = proposed(policy)
    for facts in updated(policy):
        assert all(isinstance(value, float) and math.isfinite(value) for value in facts.values())
    assert (proposed(policy) != before) == learns(policy)


def test_the_plan_is_one_that_can_be_followed(create):
    policy = create()
    updates, arcs = policy.plan(SEARCH)
    assert updates >= 0
    assert arcs >= 1
    rows = updated(policy, range(updates))
    assert len({tuple(row) for row in rows}) <= 1  # each update tells the same facts


LEARNING = [(name, space) for name, space in KNOWN if policy_class(name).plan(SEARCH).updates > 0]


@pytest.mark.parametrize("known", LEARNING, ids="-".join, indirect=True)
def test_a_policy_that_has_diverged_says_so(create):
    policy = create()
    arcs = policy.propose(2, draw_for(0, "arcs"))
    with pytest.raises(FloatingPointError, match="not finite"):
        policy.update(arcs, [0.5, math.nan])


def test_the_state_goes_on_in_another_process(create):
    policy = create()
    updated(policy)
    resumed = create(seed=1)
    resumed.load_state_dict(through_a_file(policy.state_dict()))
    assert proposed(resumed) == proposed(policy)
    more = range(5, 8)
    assert updated(resumed, more) == updated(policy, more)
    assert proposed(resumed) == proposed(policy)


def test_the_state_is_of_the_moment(create):
    """A state that has been written does not change with later updates."""
    policy = create()
    updated(policy)
    before = proposed(policy)
    state = through_a_file(policy.state_dict())
    updated(policy, range(5, 10))
    policy.load_state_dict(state)
    assert proposed(policy) == before


def test_columns_are_those_of_the_table_of_epochs(create):
    policy = create()
    assert set(policy.columns) <= set(SCHEMAS["search_epochs"].names)
    assert set(policy.row([])) <= set(policy.columns)
    row = policy.row(updated(policy))
    assert set(row) == set(policy.columns)
    assert all(math.isfinite(value) for value in row.values())
