"""Jobs of a dry run: reading them, and list scheduling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planned import DRY_RUN, NOTHING

from enas_core.planning.jobs import Job, chains, explain, makespan, read_jobs


def test_jobs_of_a_dry_run():
    assert read_jobs(DRY_RUN) == [
        Job("augment", {"experiment": "a", "network": "random-00", "seed": "1"}, frozenset()),
        Job("search", {"experiment": "a", "seed": "1"}, frozenset()),
        Job("select_arc", {"experiment": "a", "seed": "1"}, frozenset({1})),
        Job("augment", {"experiment": "a", "network": "searched-s1", "seed": "1"}, frozenset({2})),
        Job("all", {}, frozenset({0, 3})),
    ]
    assert read_jobs(DRY_RUN)[-1].experiment == "-"


def test_no_jobs():
    assert read_jobs(NOTHING) == []


@pytest.mark.parametrize("printed", ["", DRY_RUN.replace("rule search:", "Job 7:"), DRY_RUN[:150]])
def test_a_dry_run_of_another_form(printed):
    with pytest.raises(ValueError, match="does not list its jobs as expected"):
        read_jobs(printed)


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        (
            'Building DAG of jobs...\nInputFunctionException in rule final in file "x.smk", line 54:\nError:\n'
            "  WorkflowError:\n    config.yaml: experiments: 'b' is not there; allowed: a\nWildcards:\n  experiment=b\n"
            'Traceback:\n  File "x.smk", line 56, in <lambda>\n',
            "Error: WorkflowError: config.yaml: experiments: 'b' is not there; allowed: a",
        ),
        ("MissingRuleException:\nNo rule to produce x (if you use input functions).\n", "No rule to produce x (if"),
        ('WorkflowError in file "x.smk", line 12:\nconfig.yaml: a: 1\n  File "x.smk", line 12, in <m>', "config.yaml:"),
        ("usage: x\n__main__.py: error: unrecognized arguments: --nope\n", "__main__.py: error: unrecognized arg"),
        ("", "no output"),
        ("OddError:\n", "OddError:"),
    ],
)
def test_the_message_of_a_failed_dry_run(printed, message):
    assert explain(printed).startswith(message)
    assert "File" not in explain(printed)
    assert "\n" not in explain(printed)


@st.composite
def dags(draw):
    """Seconds and needs of jobs in any order."""
    seconds = draw(st.lists(st.integers(0, 20), min_size=1, max_size=12))
    order = draw(st.permutations(range(len(seconds))))
    needs = [set() for _ in seconds]
    for position, job in enumerate(order):
        needs[job] = draw(st.sets(st.sampled_from(order[:position]), max_size=3)) if position else set()
    return seconds, needs


@given(dags(), st.integers(1, 8))
def test_wall_clock_time_is_within_its_bounds(dag, devices):
    seconds, needs = dag
    longest, total = max(chains(seconds, needs)), sum(seconds)
    time = makespan(seconds, needs, devices)
    assert max(longest, total / devices) <= time
    assert time <= total / devices + longest  # Graham 1966
    assert makespan(seconds, needs, 1) == total
    assert makespan(seconds, needs, len(seconds)) == longest


@given(dags(), st.integers(1, 8))
def test_seconds_may_be_in_any_unit(dag, devices):
    seconds, needs = dag
    assert makespan([4 * s for s in seconds], needs, devices) == 4 * makespan(seconds, needs, devices)


def test_wall_clock_time_of_a_small_example():
    # search 10 -> select 1 -> augment 5; two random arcs of 5 each beside them
    seconds, needs = [10, 1, 5, 5, 5], [set(), {0}, {1}, set(), set()]
    assert chains(seconds, needs) == [16, 6, 5, 5, 5]
    assert [makespan(seconds, needs, n) for n in (1, 2, 3)] == [26, 16, 16]


def test_jobs_without_a_device_wait_for_none():
    assert makespan([9, 0, 0, 3], [set(), set(), {1}, {2}], 1) == 12
