"""The Pareto front of accuracy against cost."""

from hypothesis import given
from hypothesis import strategies as st

from enas_core.analysis.front import on_front

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12)


@given(PAIRS)
def test_what_no_other_dominates_is_on_the_front(pairs):
    def dominated(pair):
        return any(cost <= pair[0] and value >= pair[1] and (cost, value) != pair for cost, value in pairs)

    costs, values = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    assert on_front(costs, values) == [not dominated(pair) for pair in pairs]
