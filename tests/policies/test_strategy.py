"""What every strategy keeps to: the same tests for each of `policies.STRATEGIES`, on two spaces; and what those gain
that learn from what they have seen."""

import itertools
import statistics
import sys
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "spaces"))

from chain import Chain, ChainSettings

from enas_core.policies import STRATEGIES, policy_class, strategy_function
from enas_core.policies.neighbours import change, neighbours, random_arc
from enas_core.policies.policy import Policy, UpdatePlan
from enas_core.policies.strategy import MAX_IDLE, Task, distinct
from enas_core.settings.search import Search
from enas_core.settings.select import Evaluations, Evolution, StrategyName
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro
from enas_core.training.randomness import stream_seed

SPACES = {"micro": Micro(MicroSettings(num_nodes=2)), "chain": Chain(ChainSettings(chain_length=12))}
SMALL = Chain(ChainSettings(chain_length=2))
"""Nine arcs."""


def task(space, seed=1, count=30, policy=None):
    """What a strategy gets after a search by the policy that learns nothing."""
    policy = policy or policy_class("uniform")(space, Search(), torch.Generator())
    settings = Evaluations(num_candidates=count, evolution=Evolution(population=8, sample_size=3))
    return Task(space, policy, settings, partial(stream_seed, seed))


def agreement(space, target):
    """A score in 0..1: the share of decisions that are those of `target`."""
    wanted = space.choices(target)
    return lambda arc: sum(a == b for a, b in zip(space.choices(arc), wanted, strict=True)) / len(wanted)


def evaluated(name, given, score, allowed=lambda arc: True):
    """The arcs that a strategy has scored, in order."""
    proposals = strategy_function(name)(given)
    return list(distinct(proposals, given.settings.num_candidates, allowed, score, max_refused=1000))


@pytest.fixture(params=list(itertools.product(STRATEGIES, SPACES)), ids="-".join)
def known(request):
    """A strategy's name, and a space."""
    name, space = request.param
    return name, SPACES[space]


def test_the_registry_has_all_names():
    assert set(STRATEGIES) == set(get_args(StrategyName))


def test_arcs_are_distinct_of_the_space_and_as_many_as_asked_for(known):
    name, space = known
    arcs = evaluated(name, task(space), agreement(space, space.uniform(0)))
    assert len(arcs) == len(set(arcs)) == 30
    for arc in arcs:
        assert space.parse(str(arc)) == arc
        assert space.from_choices(space.choices(arc)) == arc


def test_the_seed_and_the_scores_decide_alone(known):
    name, space = known
    score = agreement(space, space.uniform(0))
    first = evaluated(name, task(space), score)
    torch.manual_seed(99)  # the global generators have no part in it
    assert evaluated(name, task(space), score) == first
    assert evaluated(name, task(space, seed=2), score) != first


def test_more_evaluations_begin_with_the_same_ones(known):
    """So an interrupted selection can run its strategy again. (The policy draws as many at a time as are wanted.)"""
    name, space = known
    score = agreement(space, space.uniform(0))
    assert evaluated(name, task(space, count=40), score)[:30] == evaluated(name, task(space, count=30), score)


def test_what_is_not_allowed_is_never_scored(known):
    name, space = known
    scored = []

    def score(arc):
        scored.append(arc)
        return 0.5

    def allowed(arc):
        return space.choices(arc)[0] == 1

    arcs = evaluated(name, task(space), score, allowed)
    assert scored == arcs
    assert len(arcs) == 30
    assert all(map(allowed, arcs))


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_ends_where_nothing_is_allowed(name):
    looked_at = []

    def allowed(arc):
        looked_at.append(arc)
        return False

    assert evaluated(name, task(SPACES["chain"]), None, allowed) == []
    assert len(looked_at) == 1000


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_ends_where_there_is_nothing_new(name):
    assert len(evaluated(name, task(SMALL), agreement(SMALL, SMALL.uniform(0)))) == 9


def evaluations_until_best(name, space, seed):
    """How many arcs are scored until the planted one is among them."""
    best = space.uniform(1000 + seed)
    proposals = strategy_function(name)(task(space, seed))
    arcs = distinct(proposals, 3**6, lambda arc: True, agreement(space, best), max_refused=1)
    return next(count for count, arc in enumerate(arcs, 1) if arc == best)


@pytest.mark.parametrize("name", ["evolution", "local_search"])
def test_planted_ranking(name):
    """Over 20 seeds, the arc that scores best is found in fewer evaluations than by random sampling."""
    space = Chain(ChainSettings(chain_length=6))
    needed = {}
    for strategy in ("random", name):
        needed[strategy] = [evaluations_until_best(strategy, space, seed) for seed in range(20)]
    fewer = sum(mine < at_random for mine, at_random in zip(needed[name], needed["random"], strict=True))
    assert fewer >= 15, needed
    assert statistics.median(needed[name]) < statistics.median(needed["random"]) / 3


def test_evolution_keeps_to_its_population():
    """Every mutation differs in one decision from one of the arcs that live."""
    space = SPACES["chain"]
    arcs = evaluated("evolution", task(space), agreement(space, space.uniform(0)))
    for i in range(8, 30):
        living = arcs[i - 8 : i]
        assert any(sum(a != b for a, b in zip(arcs[i], parent, strict=True)) == 1 for parent in living)


def test_local_search_scores_all_neighbours_before_it_moves_to_the_best():
    space = Chain(ChainSettings(chain_length=3))
    target = space.from_choices([2, 2, 2])
    score = agreement(space, target)
    for seed in range(30):
        arcs = evaluated("local_search", task(space, seed, count=27), score)
        if score(arcs[0]) == 1 / 3:
            break
    assert set(arcs[1:7]) == set(neighbours(space, arcs[0]))
    best = max(arcs[1:7], key=score)
    assert set(arcs[7:]) >= set(neighbours(space, best)) - set(arcs[:7])
    assert set(arcs[7 : 7 + 3]) <= set(neighbours(space, best))


# --- single arcs --------------------------------------------------------------------------------


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_neighbours_differ_in_one_decision(space):
    arc = space.uniform(3)
    found = neighbours(space, arc)
    assert len(found) == len(set(found)) == sum(decision.choices - 1 for decision in space.decisions)
    for other in found:
        assert sum(a != b for a, b in zip(space.choices(arc), space.choices(other), strict=True)) == 1


def test_every_change_comes_about_as_often():
    import numpy as np

    random = np.random.default_rng(0)
    space = Chain(ChainSettings(chain_length=4))
    arc = random_arc(space, random)
    counts = dict.fromkeys(neighbours(space, arc), 0)
    for _ in range(8000):
        counts[change(space, arc, random)] += 1
    assert all(850 < count < 1150 for count in counts.values())


# --- samples of the policy ----------------------------------------------------------------------

ARCS = [Micro(MicroSettings(num_nodes=1)).uniform(seed) for seed in (0, 1, 2, 3, 5)]


class Scripted(Policy):
    """Proposes batches that are written down, the last one for ever, and remembers which draws it was given."""

    def __init__(self, *batches):
        self.batches = list(batches)
        self.seeds = []

    @classmethod
    def plan(cls, search):
        return UpdatePlan(0, 1)

    def propose(self, count, draw):
        self.seeds.append(draw())
        return self.batches.pop(0) if len(self.batches) > 1 else self.batches[0]

    def update(self, arcs, accuracies):
        return {}

    def row(self, updates):
        return {}

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def proposals(policy, count, seed):
    return evaluated("policy", task(None, seed, count, policy), lambda arc: 0.0)


def test_the_arcs_are_all_different_before_anything_else():
    assert len(set(ARCS)) == 5


def test_distinct_arcs_come_in_the_order_of_their_first_proposal():
    a, b, c, d, e = ARCS
    policy = Scripted([c, a, c, a], [a, b, c, e], [d, d, d, d])
    assert proposals(policy, 4, seed=1) == [c, a, b, e]
    assert len(policy.seeds) == 2  # the third batch is not asked for


def test_no_more_than_asked_for():
    assert proposals(Scripted(ARCS), 3, seed=1) == ARCS[:3]


def test_each_batch_has_a_draw_of_its_own_that_the_seed_decides():
    given = []
    for seed in (1, 1, 2):
        policy = Scripted(ARCS[:1], ARCS[:1], ARCS[:1], ARCS[:2])
        proposals(policy, 2, seed)
        given.append(policy.seeds)
    assert len(set(given[0])) == 4
    assert given[0] == given[1]
    assert not set(given[0]) & set(given[2])


def test_a_policy_that_has_no_more_arcs_gives_those_that_it_has():
    policy = Scripted([ARCS[0], ARCS[1]])
    assert proposals(policy, 3, seed=1) == ARCS[:2]
    assert len(policy.seeds) == 1 + MAX_IDLE


def test_a_rare_arc_is_waited_for():
    common, rare = ARCS[:2]
    policy = Scripted(*[[common]] * MAX_IDLE, [rare])
    assert proposals(policy, 2, seed=1) == [common, rare]
