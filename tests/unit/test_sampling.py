"""Ways to draw an arc of the micro space at random."""

import collections

import numpy as np
import numpy.random as rd
import pytest
from scipy.stats import chisquare

from enas_core.spaces.micro.sampling import reference_arc, uniform_arc


@pytest.fixture
def numpy_state():
    """numpy's global generator, put back afterwards."""
    state = rd.get_state()
    yield
    rd.set_state(state)


@pytest.mark.usefixtures("numpy_state")
def test_reference_sampler_is_the_original_generator():
    for seed in [*range(300), 12345, 2**31, 2**32 - 1]:
        rd.seed(seed)
        ops = rd.randint(0, 5, 20)
        links = rd.choice([0, 1], size=20, replace=True)
        normal = [links[0], ops[0], links[1], ops[1], links[0], ops[2], links[1], ops[3]]
        normal += [links[0], ops[4], links[1], ops[5], links[0], ops[6], links[1], ops[7]]
        normal += [links[0], ops[16], links[1], ops[17]]
        reduction = [links[0], ops[8], links[1], ops[9], links[0], ops[10], links[1], ops[11]]
        reduction += [links[0], ops[12], links[1], ops[13], links[0], ops[14], links[1], ops[15]]
        reduction += [links[0], ops[18], links[1], ops[19]]
        assert str(reference_arc(seed)) == " ".join(str(int(value)) for value in normal + reduction)


def test_samplers_leave_the_global_generator_alone():
    before = rd.get_state()[1].copy()
    reference_arc(3)
    uniform_arc(3)
    assert np.array_equal(rd.get_state()[1], before)


def test_reference_sampler_has_five_nodes():
    with pytest.raises(ValueError, match="makes arcs of 5 nodes, not 4"):
        reference_arc(0, 4)


def test_uniform_sampler_is_uniform():
    arcs = [list(uniform_arc(seed, 4).integers()) for seed in range(3000)]
    for position, values in enumerate(zip(*arcs, strict=True)):
        choices = 5 if position % 2 else position % 16 // 4 + 2
        counts = collections.Counter(values)
        assert set(counts) == set(range(choices))
        assert chisquare([counts[value] for value in range(choices)]).pvalue > 1e-3, position


def test_uniform_decisions_are_independent():
    arcs = np.array([list(uniform_arc(seed, 2).integers()) for seed in range(3000)])
    for first in range(16):
        for second in range(first):
            sizes = [5 if position % 2 else position % 8 // 4 + 2 for position in (first, second)]
            pairs = np.bincount(arcs[:, first] * sizes[1] + arcs[:, second], minlength=sizes[0] * sizes[1])
            assert chisquare(pairs).pvalue > 1e-4, (first, second)


def test_uniform_sampler_is_stable():
    assert str(uniform_arc(0, 2)) == "1 3 1 1 0 0 0 0 0 4 1 4 1 3 2 3"
    assert len({uniform_arc(seed) for seed in range(500)}) == 500
